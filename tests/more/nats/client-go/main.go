// SPDX-License-Identifier: Apache-2.0
// client-go URL fill|read|change: see read.go; client-go URL cluster [SUFFIX]: cluster.go. client-go URL: core NATS, JetStream, key-value, object store and services by nats.go, in one story; what
// it prints holds no ids and no times, so that it is the same wherever it runs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

const patience = 20 * time.Second

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func core(nc *nats.Conn) {
	sub := must(nc.SubscribeSync("core.*"))
	check(nc.PublishMsg(&nats.Msg{Subject: "core.x", Header: nats.Header{"K": {"v", "w"}}, Data: []byte("one")}))
	m := must(sub.NextMsg(patience))
	fmt.Println("core", m.Subject, string(m.Data), m.Header["K"])
	served := 0
	for range 3 {
		must(nc.QueueSubscribe("work", "q", func(m *nats.Msg) { check(m.Respond(append([]byte("did "), m.Data...))) }))
	}
	for i := range 20 {
		if string(must(nc.Request("work", fmt.Append(nil, i), patience)).Data) == fmt.Sprint("did ", i) {
			served++
		}
	}
	_, err := nc.Request("nobody", nil, patience)
	fmt.Println("core served", served, "nobody:", errors.Is(err, nats.ErrNoResponders))
	big := make([]byte, nc.MaxPayload())
	check(nc.Publish("core.big", big))
	fmt.Println("core big", len(must(sub.NextMsg(patience)).Data) == len(big), nc.Publish("core.big", append(big, 0)))
	limited := must(nc.SubscribeSync("limited"))
	check(limited.AutoUnsubscribe(2))
	for range 5 {
		check(nc.Publish("limited", nil))
	}
	check(nc.Flush())
	n, _, err := limited.Pending()
	fmt.Println("core limited", n, err)
}

func streams(ctx context.Context, js jetstream.JetStream) {
	s := must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Description: "d",
		Metadata: map[string]string{"a": "b"}, AllowDirect: true}))
	for i := range 10 {
		ack := must(js.Publish(ctx, fmt.Sprintf("orders.%d", i%2), fmt.Append(nil, i), jetstream.WithMsgID(fmt.Sprint("id", i%9))))
		fmt.Println("ack", ack.Stream, ack.Sequence, ack.Duplicate)
	}
	_, err := js.Publish(ctx, "orders.x", nil, jetstream.WithExpectLastSequence(99))
	fmt.Println("expect:", err)
	_, err = js.Publish(ctx, "nobody", nil)
	fmt.Println("no stream:", err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "OVERLAP", Subjects: []string{"orders.1"}})
	fmt.Println("overlap:", err)
	info := must(s.Info(ctx, jetstream.WithSubjectFilter(">")))
	fmt.Println("info", info.Config.Name, info.Config.Subjects, info.State.Msgs, info.State.Subjects, info.Config.Description)
	fmt.Println("last", must(s.GetLastMsgForSubject(ctx, "orders.0")).Subject)
	c := must(s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "D", FilterSubject: "orders.0", MaxDeliver: 2}))
	batch := must(c.Fetch(3, jetstream.FetchMaxWait(patience)))
	for m := range batch.Messages() {
		meta := must(m.Metadata())
		fmt.Println("pulled", m.Subject(), string(m.Data()), meta.Stream, meta.Consumer, meta.Sequence.Stream, m.DoubleAck(ctx))
	}
	_, err = c.Next(jetstream.FetchMaxWait(100 * time.Millisecond))
	fmt.Println("next", err == nil || errors.Is(err, nats.ErrTimeout))
	ordered := must(js.OrderedConsumer(ctx, "ORDERS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"orders.*"}}))
	got := make(chan string, 100)
	consuming := must(ordered.Consume(func(m jetstream.Msg) { got <- m.Subject() + "=" + string(m.Data()) }))
	for range 5 {
		fmt.Println("ordered", <-got)
	}
	consuming.Stop()
	var names []string
	for name := range js.StreamNames(ctx).Name() {
		names = append(names, name)
	}
	consumers := 0
	for range s.ListConsumers(ctx).Info() {
		consumers++
	}
	sort.Strings(names)
	fmt.Println("names", names, "by subject", must(js.StreamNameBySubject(ctx, "orders.1")), consumers >= 1)
	_, err = js.Stream(ctx, "NONE")
	fmt.Println("missing:", err)
	check(s.Purge(ctx, jetstream.WithPurgeSubject("orders.0")))
	fmt.Println("purged", must(s.Info(ctx)).State.Msgs)
	must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "COPY", Mirror: &jetstream.StreamSource{Name: "ORDERS"}}))
	copied := must(js.CreateOrUpdateConsumer(ctx, "COPY", jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy}))
	m := must(copied.Next(jetstream.FetchMaxWait(patience)))
	fmt.Println("mirrored", m.Subject(), string(m.Data()))
	check(js.DeleteStream(ctx, "COPY"))
	check(js.DeleteStream(ctx, "ORDERS"))
	account := must(js.AccountInfo(ctx))
	fmt.Println("account", account.Limits.MaxStreams)
}

func keyValue(ctx context.Context, js jetstream.JetStream) {
	kv := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "config", History: 5, Description: "d"}))
	watch := must(kv.WatchAll(ctx))
	fmt.Println("kv", must(kv.PutString(ctx, "a.b", "1")), must(kv.Create(ctx, "c", []byte("2"))), must(kv.Update(ctx, "c", []byte("3"), 2)))
	_, err := kv.Create(ctx, "c", nil)
	fmt.Println("kv create:", errors.Is(err, jetstream.ErrKeyExists))
	_, err = kv.Update(ctx, "c", nil, 1)
	fmt.Println("kv update:", err)
	check(kv.Delete(ctx, "a.b"))
	_, err = kv.Get(ctx, "a.b")
	fmt.Println("kv get:", errors.Is(err, jetstream.ErrKeyNotFound))
	e := must(kv.Get(ctx, "c"))
	fmt.Println("kv", e.Bucket(), e.Key(), string(e.Value()), e.Revision(), e.Operation())
	for _, h := range must(kv.History(ctx, "c")) {
		fmt.Println("kv history", h.Key(), string(h.Value()), h.Revision())
	}
	keys := must(kv.Keys(ctx))
	sort.Strings(keys)
	fmt.Println("kv keys", keys)
	for seen := 0; seen < 5; {
		if u := <-watch.Updates(); u != nil {
			fmt.Println("kv watched", u.Key(), string(u.Value()), u.Operation())
			seen++
		} else {
			seen++ // all that was there
		}
	}
	check(watch.Stop())
	check(kv.Purge(ctx, "c"))
	check(kv.PurgeDeletes(ctx))
	status := must(kv.Status(ctx))
	fmt.Println("kv status", status.Bucket(), status.History())
	for name := range js.KeyValueStoreNames(ctx).Name() {
		fmt.Println("kv names", name)
	}
	check(js.DeleteKeyValue(ctx, "config"))
}

func objects(ctx context.Context, js jetstream.JetStream) {
	store := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "files"}))
	watch := must(store.Watch(ctx))
	watched := func() { // before the next change, which replaces this one
		u := <-watch.Updates()
		if u == nil {
			fmt.Println("object watched: no more was there")
			return
		}
		fmt.Println("object watched", u.Name, u.Size, u.Deleted, u.Opts != nil && u.Opts.Link != nil)
	}
	watched()
	data := bytes.Repeat([]byte("0123456789"), 40000)
	info := must(store.Put(ctx, jetstream.ObjectMeta{Name: "big file", Description: "d", Headers: nats.Header{"H": {"v"}}}, bytes.NewReader(data)))
	fmt.Println("object", info.Bucket, info.Name, info.Size, info.Chunks, info.Digest)
	watched()
	fmt.Println("object same", bytes.Equal(must(store.GetBytes(ctx, "big file")), data))
	link := must(store.AddLink(ctx, "link", must(store.GetInfo(ctx, "big file"))))
	fmt.Println("object link", link.Opts.Link.Bucket, link.Opts.Link.Name, bytes.Equal(must(store.GetBytes(ctx, "link")), data))
	watched()
	other := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "other"}))
	must(other.PutString(ctx, "there", "far away"))
	far := must(store.AddLink(ctx, "far", must(other.GetInfo(ctx, "there"))))
	fmt.Println("object of another store", far.Opts.Link.Bucket, far.Opts.Link.Name, must(store.GetString(ctx, "far")))
	watched()
	whole := must(store.AddBucketLink(ctx, "store", other))
	watched()
	_, err := store.GetString(ctx, "store")
	fmt.Println("object store linked", whole.Opts.Link.Bucket, whole.Opts.Link.Name, err)
	_, err = store.AddLink(ctx, "again", link)
	fmt.Println("object link of a link:", err)
	check(store.UpdateMeta(ctx, "big file", jetstream.ObjectMeta{Name: "renamed"}))
	watched()
	for _, o := range must(store.List(ctx)) {
		fmt.Println("object list", o.Name, o.Size)
	}
	check(store.Delete(ctx, "renamed"))
	watched()
	_, err = store.GetBytes(ctx, "renamed")
	fmt.Println("object gone:", errors.Is(err, jetstream.ErrObjectNotFound))
	_, err = store.GetBytes(ctx, "link")
	fmt.Println("object through a dead link:", err)
	check(js.DeleteObjectStore(ctx, "other"))
	check(watch.Stop())
	for name := range js.ObjectStoreNames(ctx).Name() {
		fmt.Println("object names", name)
	}
	check(store.Seal(ctx))
	check(js.DeleteObjectStore(ctx, "files"))
}

func services(nc *nats.Conn) {
	for range 2 {
		service := must(micro.AddService(nc, micro.Config{Name: "adder", Version: "1.0.0", Metadata: map[string]string{"k": "v"}}))
		check(service.AddGroup("math").AddEndpoint("add", micro.HandlerFunc(func(r micro.Request) {
			if len(r.Data()) == 0 {
				check(r.Error("400", "nothing to add", nil))
				return
			}
			check(r.Respond(append(r.Data(), '1')))
		})))
	}
	check(nc.Flush())
	fmt.Println("service", string(must(nc.Request("math.add", []byte("4"), patience)).Data))
	bad := must(nc.Request("math.add", nil, patience))
	fmt.Println("service", bad.Header.Get("Nats-Service-Error-Code"), bad.Header.Get("Nats-Service-Error"))
	for _, verb := range []string{"PING", "INFO", "STATS", "PING.adder", "INFO.adder", "PING.other"} {
		inbox := nc.NewRespInbox()
		answers := must(nc.SubscribeSync(inbox))
		check(nc.PublishRequest("$SRV."+verb, inbox, nil))
		n, kinds := 0, map[string]bool{}
		for n < 2 {
			m, err := answers.NextMsg(patience)
			if err != nil {
				fmt.Println("service", verb, err)
				break
			}
			var body struct{ Type, Name string }
			check(json.Unmarshal(m.Data, &body))
			kinds[strings.TrimPrefix(body.Type, "io.nats.micro.v1.")+" "+body.Name] = true
			n++
		}
		fmt.Println("service", verb, n, kinds)
	}
}

func main() {
	if len(os.Args) > 2 && os.Args[2] == "cluster" {
		onCluster(os.Args[1], strings.Join(os.Args[3:], ""))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	nc := must(nats.Connect(os.Args[1], nats.Name("story"), nats.Timeout(patience), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
	js := must(jetstream.New(nc, jetstream.WithDefaultTimeout(patience)))
	if len(os.Args) > 2 {
		map[string]func(){
			"fill": func() { fill(ctx, nc, js) }, "read": func() { read(ctx, nc, js) }, "change": func() { change(ctx, js) },
		}[os.Args[2]]()
		return
	}
	core(nc)
	streams(ctx, js)
	keyValue(ctx, js)
	objects(ctx, js)
	services(nc)
	check(nc.Drain())
	for !nc.IsClosed() {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("the end")
}
