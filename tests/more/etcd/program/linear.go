// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// One key is a register. An operation whose answer was lost may have happened, at any time since.
type input struct {
	kind     string // get, put, delete, swap
	key      string
	old, new string
}

type output struct {
	value   string // of a get; "" = absent
	swapped bool
	unknown bool
}

var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range history {
			by[o.Input.(input).key] = append(by[o.Input.(input).key], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		i, o, now := in.(input), out.(output), state.(string)
		switch i.kind {
		case "get":
			return o.unknown || o.value == now, now
		case "put":
			return true, i.new
		case "delete":
			return true, ""
		}
		is := now == i.old
		if is {
			now = i.new
		}
		return o.unknown || o.swapped == is, now
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprint(in, " -> ", out) },
}

const (
	workers  = 6
	registry = "lin/"
)

var values atomic.Int64

func linear(url string, long time.Duration) {
	begin := time.Now()
	c := connect(url)
	first, err := c.Get(within(20), "x")
	must(err)
	from := first.Header.Revision + 1
	w := newWatcher(url, from)
	var mu sync.Mutex
	var history []porcupine.Operation
	each(workers, func(id int) {
		c, rng := connect(url), rand.New(rand.NewSource(int64(id)))
		defer c.Close()
		for n := 0; time.Since(begin) < long; n++ {
			in := choose(rng)
			called := time.Since(begin).Nanoseconds()
			out := do(c, in)
			returned := time.Since(begin).Nanoseconds()
			if out.unknown && in.kind == "get" {
				continue // it says nothing
			}
			if out.unknown {
				returned = 1 << 62
			}
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: len(history), Input: in, Call: called, Output: out,
				Return: returned})
			mu.Unlock()
		}
	})
	unknown := 0
	for _, o := range history {
		if o.Output.(output).unknown {
			unknown++
		}
	}
	fmt.Println("operations", len(history), "unknown", unknown)
	check(len(history) > 200, "too few operations")
	switch porcupine.CheckOperationsTimeout(register, history, 120*time.Second) {
	case porcupine.Illegal:
		check(false, "the history is not linearizable")
	case porcupine.Unknown:
		fmt.Println("judging took too long: undecided")
	case porcupine.Ok:
		fmt.Println("linearizable")
	}
	w.judge(c, url)
}

func choose(rng *rand.Rand) input {
	in := input{key: fmt.Sprint(registry, rng.Intn(12)), new: fmt.Sprint(values.Add(1))}
	switch n := rng.Intn(20); {
	case n < 9:
		in.kind = "get"
	case n < 15:
		in.kind = "put"
	case n < 16:
		in.kind = "delete"
	default:
		in.kind = "swap"
		in.old = fmt.Sprint(values.Load() - int64(rng.Intn(30)))
	}
	return in
}

func do(c *clientv3.Client, in input) output {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	switch in.kind {
	case "get":
		r, err := c.Get(ctx, in.key)
		if err != nil {
			return output{unknown: true}
		}
		if len(r.Kvs) == 0 {
			return output{}
		}
		return output{value: string(r.Kvs[0].Value)}
	case "put": // two keys in one revision: the watcher must see both at once
		_, err := c.Txn(ctx).Then(clientv3.OpPut(in.key, in.new), clientv3.OpPut("lin-twin/"+in.key, in.new)).Commit()
		return output{unknown: err != nil}
	case "delete":
		_, err := c.Delete(ctx, in.key)
		return output{unknown: err != nil}
	}
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Value(in.key), "=", in.old)).
		Then(clientv3.OpPut(in.key, in.new)).Commit()
	if err != nil {
		return output{unknown: true}
	}
	return output{swapped: r.Succeeded}
}

// watcher holds one watch from the beginning to the end, whatever dies meanwhile.
type watcher struct {
	from   int64
	cancel context.CancelFunc
	mu     sync.Mutex
	events []string
	last   int64 // revision of the last response
	wrong  string
}

func newWatcher(url string, from int64) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{from: from, cancel: cancel}
	c := connect(url)
	go func() {
		for r := range c.Watch(ctx, "lin", clientv3.WithPrefix(), clientv3.WithRev(from)) {
			w.take(r)
		}
	}()
	return w
}

func describe(e *clientv3.Event) string {
	return fmt.Sprintf("%d %s %s %s", e.Kv.ModRevision, e.Type, e.Kv.Key, e.Kv.Value)
}

func (w *watcher) take(r clientv3.WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Err() != nil && w.wrong == "" {
		w.wrong = "the watch ended: " + r.Err().Error()
	}
	for _, e := range r.Events {
		// Atomic: what one revision holds comes in one response. Ordered and unique follow with it.
		if e.Kv.ModRevision <= w.last && w.wrong == "" {
			w.wrong = fmt.Sprintf("%s after a response up to %d", describe(e), w.last)
		}
		w.events = append(w.events, describe(e))
	}
	if n := len(r.Events); n != 0 {
		w.last = r.Events[n-1].Kv.ModRevision
	}
}

func (w *watcher) seen(last string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events) != 0 && w.events[len(w.events)-1] == last
}

// judge compares with what a new watch tells of the same time: nothing lost, doubled or reordered.
func (w *watcher) judge(c *clientv3.Client, url string) {
	defer w.cancel()
	end, err := c.Put(within(60), "lin-end", "end")
	must(err)
	var want []string
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	idle := time.AfterFunc(time.Minute, cancel) // etcd takes its time to tell of a long past
	for r := range c.Watch(ctx, "lin", clientv3.WithPrefix(), clientv3.WithRev(w.from)) {
		idle.Reset(time.Minute)
		must(r.Err())
		for _, e := range r.Events {
			want = append(want, describe(e))
		}
		if n := len(r.Events); n != 0 && r.Events[n-1].Kv.ModRevision >= end.Header.Revision {
			break
		}
	}
	check(len(want) != 0 && strings.HasSuffix(want[len(want)-1], " lin-end end"), "the second watch has stopped at %d events", len(want))
	for until := time.Now().Add(60 * time.Second); !w.seen(want[len(want)-1]); time.Sleep(20 * time.Millisecond) {
		check(time.Now().Before(until), "the watch has stopped: %d of %d events", len(w.events), len(want))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	check(w.wrong == "", "%s", w.wrong)
	check(len(w.events) == len(want), "%d events, not %d", len(w.events), len(want))
	for i := range want {
		check(w.events[i] == want[i], "event %d is %q, not %q", i, w.events[i], want[i])
	}
	fmt.Println("events", len(want))
}
