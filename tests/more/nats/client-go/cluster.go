// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The same patience as in the other languages: of one try, and of all.
const (
	oneTry   = 5 * time.Second
	allTries = 150 * time.Second
)

// until tries again until it works: while leaders are elected, servers say no, or nothing.
func until(what string, f func(ctx context.Context) error) {
	var err error
	for end := time.Now().Add(allTries); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), oneTry)
		err = f(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	fmt.Println("never", what, err)
	os.Exit(1)
}

type numbers struct {
	sync.Mutex
	has map[string]bool
}

func (x *numbers) add(subject string) {
	x.Lock()
	defer x.Unlock()
	x.has[subject[strings.LastIndexAny(subject, ".k")+1:]] = true
}

func (x *numbers) list() string {
	x.Lock()
	defer x.Unlock()
	var all []string
	for n := range x.has {
		all = append(all, n)
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}

// onCluster: three replicas of everything, told line by line on standard input what to do next: "make", "use N",
// "heard N". One connection, one watch and one ordered consumer live through all of it.
func onCluster(url, suffix string) {
	nc := must(nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond), nats.Timeout(patience),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})))
	js := must(jetstream.New(nc, jetstream.WithDefaultTimeout(oneTry)))
	heard, watched, pulled := &numbers{has: map[string]bool{}}, &numbers{has: map[string]bool{}}, &numbers{has: map[string]bool{}}
	var s jetstream.Stream
	var c jetstream.Consumer
	var kv jetstream.KeyValue
	var store jetstream.ObjectStore
	orders, config, files := "ORDERS"+suffix, "config"+suffix, "files"+suffix
	subject := func(n int) string { return fmt.Sprintf("orders%s.%d", suffix, n) }
	object := func(n int) []byte { return bytes.Repeat([]byte{byte('0' + n)}, 300000) }
	setUp := func() {
		until("stream", func(ctx context.Context) (err error) {
			s, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: orders, Subjects: []string{"orders" + suffix + ".>"}, Replicas: 3})
			return
		})
		until("consumer", func(ctx context.Context) (err error) {
			c, err = s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "D", AckWait: oneTry})
			return
		})
		until("bucket", func(ctx context.Context) (err error) {
			kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: config, History: 3, Replicas: 3})
			return
		})
		until("store", func(ctx context.Context) (err error) {
			store, err = js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: files, Replicas: 3})
			return
		})
		until("ordered consumer", func(ctx context.Context) error {
			ordered, err := js.OrderedConsumer(ctx, orders, jetstream.OrderedConsumerConfig{})
			if err == nil {
				_, err = ordered.Consume(func(m jetstream.Msg) { heard.add(m.Subject()) })
			}
			return err
		})
		until("watch", func(context.Context) error {
			watch, err := kv.WatchAll(context.Background())
			if err == nil {
				go func() {
					for u := range watch.Updates() {
						if u != nil {
							watched.add(u.Key())
						}
					}
				}()
			}
			return err
		})
	}
	pull := func(ctx context.Context) error {
		m, err := c.Next(jetstream.FetchMaxWait(2 * time.Second))
		if err == nil {
			if err = m.DoubleAck(ctx); err == nil {
				pulled.add(m.Subject())
			}
		}
		return err
	}
	same := func(got []byte, err error, want string) error {
		if err == nil && string(got) != want {
			return fmt.Errorf("got %.20q", got)
		}
		return err
	}
	use := func(n int) {
		until("publish", func(ctx context.Context) error {
			_, err := js.Publish(ctx, subject(n), fmt.Append(nil, n), jetstream.WithMsgID(fmt.Sprint("id", n)))
			return err
		})
		until("put", func(ctx context.Context) error { _, err := kv.PutString(ctx, fmt.Sprint("k", n), fmt.Sprint(n)); return err })
		until("object", func(ctx context.Context) error { _, err := store.PutBytes(ctx, fmt.Sprint("o", n), object(n)); return err })
		for i := range n + 1 {
			until("message", func(ctx context.Context) error {
				m, err := s.GetLastMsgForSubject(ctx, subject(i))
				if err != nil {
					return err
				}
				return same(m.Data, nil, fmt.Sprint(i))
			})
			until("value", func(ctx context.Context) error {
				e, err := kv.Get(ctx, fmt.Sprint("k", i))
				if err != nil {
					return err
				}
				return same(e.Value(), nil, fmt.Sprint(i))
			})
		}
		until("pull", pull)
	}
	all := func(n int) {
		for i := range n + 1 {
			until("object back", func(ctx context.Context) error {
				got, err := store.GetBytes(ctx, fmt.Sprint("o", i))
				return same(got, err, string(object(i)))
			})
		}
		until("all", func(ctx context.Context) error {
			for _, of := range []*numbers{heard, watched, pulled} {
				if got := of.list(); len(strings.Fields(got)) <= n {
					if of == pulled {
						_ = pull(ctx)
					}
					return fmt.Errorf("heard %s watched %s pulled %s", heard.list(), watched.list(), pulled.list())
				}
			}
			return nil
		})
	}
	for {
		var what string
		var n int
		if _, err := fmt.Scan(&what); err != nil {
			return
		}
		switch what {
		case "make":
			setUp()
		case "use":
			_ = must(fmt.Scan(&n))
			use(n)
		case "heard":
			_ = must(fmt.Scan(&n))
			all(n)
			until("count", func(ctx context.Context) error {
				info, err := s.Info(ctx)
				if err == nil {
					fmt.Println("heard", heard.list(), "watched", watched.list(), "pulled", pulled.list(), "messages", info.State.Msgs)
				}
				return err
			})
			continue
		}
		fmt.Println(what, n)
	}
}
