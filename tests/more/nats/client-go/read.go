// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// fill makes what others read: a bucket, an object, a service. It stays until its standard input ends.
func fill(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) {
	kv := must(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "cards", History: 5}))
	for _, v := range []string{"1", "2", "3"} {
		must(kv.PutString(ctx, "model.a", v))
	}
	must(kv.PutString(ctx, "model.b", "x"))
	must(kv.PutString(ctx, "gone", "x"))
	check(kv.Delete(ctx, "gone"))
	os := must(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "files"}))
	must(os.PutBytes(ctx, "weights", make([]byte, 300000)))
	must(os.PutString(ctx, "card.json", "{}"))
	must(micro.AddService(nc, micro.Config{Name: "model", Version: "1.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "inst.of-0123456789abcdef", Handler: micro.HandlerFunc(func(r micro.Request) { check(r.Respond([]byte("served"))) })}}))
	check(nc.Flush())
	fmt.Println("filled")
	fmt.Scanln()
}

// discover prints who answers, by verb; the first to be silent for long ends it.
func discover(nc *nats.Conn) {
	for _, verb := range []micro.Verb{micro.PingVerb, micro.InfoVerb, micro.StatsVerb} {
		m := must(nc.Request(must(micro.ControlSubject(verb, "model", "")), nil, patience))
		var who micro.ServiceIdentity
		check(json.Unmarshal(m.Data, &who))
		fmt.Println("found", verb, who.Name, who.Version)
	}
	fmt.Println("asked", string(must(nc.Request("inst.of-0123456789abcdef", nil, patience)).Data))
}

// read prints all that can be read of it, and what every attempt to change it is told.
func read(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) {
	kv, err := js.KeyValue(ctx, "cards")
	if err != nil {
		fmt.Println("no bucket:", errors.Is(err, jetstream.ErrBucketNotFound))
		_, err = js.ObjectStore(ctx, "files")
		fmt.Println("no objects:", errors.Is(err, jetstream.ErrBucketNotFound))
		_, err = nc.Request("$SRV.PING.model", nil, patience)
		fmt.Println("no service:", errors.Is(err, nats.ErrNoResponders))
		return
	}
	fmt.Println("get", string(must(kv.Get(ctx, "model.a")).Value()), string(must(kv.GetRevision(ctx, "model.a", 2)).Value()))
	_, err = kv.Get(ctx, "gone")
	fmt.Println("gone", errors.Is(err, jetstream.ErrKeyNotFound))
	keys := must(kv.Keys(ctx))
	sort.Strings(keys)
	fmt.Println("keys", keys)
	for _, h := range must(kv.History(ctx, "model.a")) {
		fmt.Println("history", string(h.Value()), h.Revision())
	}
	watch := must(kv.Watch(ctx, "model.*"))
	for u := range watch.Updates() {
		if u == nil {
			break
		}
		fmt.Println("watched", u.Key(), string(u.Value()))
	}
	check(watch.Stop())
	fmt.Println("status", must(kv.Status(ctx)).Values())
	os := must(js.ObjectStore(ctx, "files"))
	fmt.Println("object", len(must(os.GetBytes(ctx, "weights"))), must(os.GetString(ctx, "card.json")))
	var names []string
	for _, info := range must(os.List(ctx)) {
		names = append(names, info.Name)
	}
	sort.Strings(names)
	fmt.Println("objects", names)
	discover(nc)
}

// change tries what only the owner may; each must fail.
func change(ctx context.Context, js jetstream.JetStream) {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	kv := must(js.KeyValue(ctx, "cards"))
	_, err := kv.PutString(short, "model.a", "stolen")
	fmt.Println("put", err != nil)
	fmt.Println("purge", kv.Purge(short, "model.a") != nil)
	fmt.Println("delete bucket", js.DeleteKeyValue(ctx, "cards") != nil)
	fmt.Println("delete objects", js.DeleteObjectStore(ctx, "files") != nil)
	fmt.Println("delete object", must(js.ObjectStore(ctx, "files")).Delete(short, "weights") != nil)
}
