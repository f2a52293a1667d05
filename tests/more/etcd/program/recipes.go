// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"
)

// tenant is one namespace: who it is must be in every value that it reads.
type tenant struct {
	name string
	url  string
	c    *clientv3.Client
}

func recipes(urls []string) {
	all := []struct {
		name string
		run  func(*tenant)
	}{
		{"mutex", mutex}, {"election", election}, {"stm", stm}, {"barrier", barrier}, {"queue", queues},
		{"rwmutex", rwMutex}, {"lease", leases}, {"watch", watches}, {"kv", keys},
	}
	for _, r := range all {
		each(len(urls), func(i int) {
			t := &tenant{fmt.Sprintf("tenant-%d", i), urls[i], connect(urls[i])}
			defer t.c.Close()
			r.run(t)
		})
		fmt.Println(r.name)
	}
}

// hold takes every name that the recipes use and keeps it until standard input ends: whoever sees it there
// would wait for it, or take it for his own.
func hold(url string) {
	t := &tenant{"holder", url, connect(url)}
	s := t.session()
	must(concurrency.NewMutex(s, "/the/lock").Lock(within(60)))
	must(concurrency.NewElection(s, "/boss").Campaign(within(60), t.name))
	must(recipe.NewBarrier(t.c, "/barrier").Hold())
	must(recipe.NewRWMutex(s, "/rw").Lock())
	must(recipe.NewQueue(t.c, "/queue").Enqueue(t.name))
	must(recipe.NewPriorityQueue(t.c, "/priority").Enqueue(t.name, 0))
	for _, key := range []string{"account/0", "leased/0", "w/0"} {
		_, err := t.c.Put(within(20), key, t.name)
		must(err)
	}
	fmt.Println("holding")
	_, _ = io.Copy(io.Discard, os.Stdin)
	leader, err := concurrency.NewElection(s, "/boss").Leader(within(20))
	must(err)
	check(string(leader.Kvs[0].Value) == t.name, "%s follows %s", t.name, leader.Kvs[0].Value)
	v, err := recipe.NewQueue(t.c, "/queue").Dequeue()
	must(err)
	check(v == t.name, "%s dequeues %s", t.name, v)
}

// each runs f(0) … f(n-1) at once and waits for all.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() { defer wg.Done(); f(i) }()
	}
	wg.Wait()
}

func within(seconds int) context.Context {
	ctx, _ := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second) //nolint:govet
	return ctx
}

func (t *tenant) session() *concurrency.Session {
	s, err := concurrency.NewSession(t.c, concurrency.WithTTL(30))
	must(err)
	return s
}

func mutex(t *tenant) {
	held, count := 0, 0
	each(4, func(int) {
		s := t.session()
		defer s.Close()
		for range 5 {
			m := concurrency.NewMutex(s, "/the/lock")
			must(m.Lock(within(60)))
			held++
			check(held == 1, "%s: %d hold the lock", t.name, held)
			count++
			held--
			must(m.Unlock(within(20)))
		}
	})
	check(count == 20, "%s: %d of 20 turns", t.name, count)
	s := t.session()
	defer s.Close()
	m := concurrency.NewMutex(s, "/the/lock")
	must(m.TryLock(within(20)))
	other := t.session()
	defer other.Close()
	check(concurrency.NewMutex(other, "/the/lock").TryLock(within(20)) == concurrency.ErrLocked, "locked twice")
	must(m.Unlock(within(20)))
}

func election(t *tenant) {
	s := t.session()
	defer s.Close()
	e := concurrency.NewElection(s, "/boss")
	must(e.Campaign(within(60), t.name))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := concurrency.NewElection(s, "/boss").Observe(ctx)
	r := <-seen
	check(string(r.Kvs[0].Value) == t.name, "%s observes %s", t.name, r.Kvs[0].Value)
	must(e.Proclaim(within(20), t.name+"!"))
	for string((<-seen).Kvs[0].Value) != t.name+"!" {
	}
	leader, err := e.Leader(within(20))
	must(err)
	check(string(leader.Kvs[0].Value) == t.name+"!", "%s follows %s", t.name, leader.Kvs[0].Value)
	second := t.session()
	defer second.Close()
	won := make(chan error)
	go func() { won <- concurrency.NewElection(second, "/boss").Campaign(within(60), "second "+t.name) }()
	must(e.Resign(within(20)))
	must(<-won)
	for string((<-seen).Kvs[0].Value) != "second "+t.name {
	}
}

func stm(t *tenant) {
	const accounts, start = 5, 100
	for i := range accounts {
		_, err := t.c.Put(within(20), fmt.Sprint("account/", i), fmt.Sprint(start))
		must(err)
	}
	each(4, func(n int) {
		for i := range 10 {
			_, err := concurrency.NewSTM(t.c, func(s concurrency.STM) error {
				from, to := fmt.Sprint("account/", (n+i)%accounts), fmt.Sprint("account/", (n*3+i+1)%accounts)
				if from == to {
					return nil
				}
				a, b := 0, 0
				fmt.Sscan(s.Get(from), &a)
				fmt.Sscan(s.Get(to), &b)
				s.Put(from, fmt.Sprint(a-1))
				s.Put(to, fmt.Sprint(b+1))
				return nil
			}, concurrency.WithAbortContext(within(60)))
			must(err)
		}
	})
	r, err := t.c.Get(within(20), "account/", clientv3.WithPrefix())
	must(err)
	sum := 0
	for _, kv := range r.Kvs {
		n := 0
		fmt.Sscan(string(kv.Value), &n)
		sum += n
	}
	check(len(r.Kvs) == accounts && sum == accounts*start, "%s: %d accounts, %d in all", t.name, len(r.Kvs), sum)
}

func barrier(t *tenant) {
	b := recipe.NewBarrier(t.c, "/barrier")
	must(b.Hold())
	passed := make(chan error, 3)
	for range 3 {
		go func() { passed <- recipe.NewBarrier(connect(t.url), "/barrier").Wait() }()
	}
	select {
	case err := <-passed:
		check(false, "%s: passed a barrier that is held: %v", t.name, err)
	case <-time.After(100 * time.Millisecond): // nothing can be waited for
	}
	must(b.Release())
	for range 3 {
		must(<-passed)
	}
	const n = 3
	each(n, func(int) {
		s := t.session()
		defer s.Close()
		d := recipe.NewDoubleBarrier(s, "/double", n)
		must(d.Enter())
		must(d.Leave())
	})
}

func queues(t *tenant) {
	q, p := recipe.NewQueue(t.c, "/queue"), recipe.NewPriorityQueue(t.c, "/priority")
	for i := range 10 {
		must(q.Enqueue(fmt.Sprint(t.name, " ", i)))
		must(p.Enqueue(fmt.Sprint(t.name, " ", 9-i), uint16(9-i)))
	}
	for i := range 10 {
		v, err := q.Dequeue()
		must(err)
		check(v == fmt.Sprint(t.name, " ", i), "%s dequeues %s in place of %d", t.name, v, i)
		v, err = p.Dequeue()
		must(err)
		check(v == fmt.Sprint(t.name, " ", i), "%s dequeues by priority %s in place of %d", t.name, v, i)
	}
}

func rwMutex(t *tenant) {
	readers, writers := 0, 0
	var mu sync.Mutex
	each(4, func(n int) {
		s := t.session()
		defer s.Close()
		for range 3 {
			rw := recipe.NewRWMutex(s, "/rw")
			change := func(r, w int) {
				mu.Lock()
				defer mu.Unlock()
				readers, writers = readers+r, writers+w
				check(writers == 0 || (writers == 1 && readers == 0), "%s: %d write, %d read", t.name, writers, readers)
			}
			if n%2 == 0 {
				must(rw.Lock())
				change(0, 1)
				change(0, -1)
				must(rw.Unlock())
			} else {
				must(rw.RLock())
				change(1, 0)
				change(-1, 0)
				must(rw.RUnlock())
			}
		}
	})
}

func leases(t *tenant) {
	var ids []clientv3.LeaseID
	for i := range 20 {
		g, err := t.c.Grant(within(20), 60)
		must(err)
		ids = append(ids, g.ID)
		_, err = t.c.Put(within(20), fmt.Sprint("leased/", i), t.name, clientv3.WithLease(g.ID))
		must(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for _, id := range ids { // many leases on the client's one stream
		alive, err := t.c.KeepAlive(ctx, id)
		must(err)
		r := <-alive
		check(r != nil && r.ID == id && r.TTL == 60, "%s: keep-alive of %x: %v", t.name, id, r)
	}
	cancel()
	list, err := t.c.Leases(within(20))
	must(err)
	mine := map[clientv3.LeaseID]bool{}
	for _, l := range list.Leases {
		mine[l.ID] = true
	}
	for i, id := range ids {
		check(mine[id], "%s: %x is not listed", t.name, id)
		ttl, err := t.c.TimeToLive(within(20), id, clientv3.WithAttachedKeys())
		must(err)
		check(len(ttl.Keys) == 1 && string(ttl.Keys[0]) == fmt.Sprint("leased/", i), "%s: %q", t.name, ttl.Keys)
		_, err = t.c.Revoke(within(20), id)
		must(err)
	}
	r, err := t.c.Get(within(20), "leased/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(err)
	check(r.Count == 0, "%s: %d keys outlive their leases", t.name, r.Count)
}

func watches(t *tenant) {
	const n = 50
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(context.Background()))
	defer cancel()
	now := t.c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	created := <-now
	check(created.Created, "%s: %v", t.name, created)
	var first int64
	for i := range n {
		r, err := t.c.Put(within(20), fmt.Sprint("w/", i%3), fmt.Sprint(t.name, " ", i))
		must(err)
		if first == 0 {
			first = r.Header.Revision
		}
	}
	later := t.c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(first), clientv3.WithFragment())
	for _, w := range []clientv3.WatchChan{now, later} {
		for seen := 0; seen < n; {
			r := <-w
			must(r.Err())
			for _, e := range r.Events {
				check(string(e.Kv.Value) == fmt.Sprint(t.name, " ", seen), "%s: event %d is %s", t.name, seen, e.Kv.Value)
				seen++
			}
		}
	}
	must(t.c.RequestProgress(ctx))
	r := <-now
	check(r.IsProgressNotify(), "%s: %v", t.name, r)
}

func keys(t *tenant) {
	r, err := t.c.Get(within(20), "", clientv3.WithPrefix())
	must(err)
	for _, kv := range r.Kvs {
		check(len(kv.Key) < 3 || string(kv.Key[:3]) != "bh/", "%s sees %q", t.name, kv.Key)
	}
	d, err := t.c.Delete(within(20), "", clientv3.WithPrefix(), clientv3.WithPrevKV())
	must(err)
	check(int64(len(r.Kvs)) == d.Deleted, "%s deletes %d of %d", t.name, d.Deleted, len(r.Kvs))
}

// stream reads a large list with 3.7's RangeStream, and with Range: it is the same.
func stream(url string) {
	const n = 3000
	c := connect(url)
	defer c.Close()
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := i; j < i+100; j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("s/%06d", j), fmt.Sprintf("%0300d", j)))
		}
		_, err := c.Txn(within(20)).Then(ops...).Commit()
		must(err)
	}
	plain, err := c.Get(within(20), "s/", clientv3.WithPrefix())
	must(err)
	chunks := 0
	var got []string
	s, err := c.GetStream(within(20), "s/", clientv3.WithPrefix())
	must(err)
	for r := range s {
		must(r.Err())
		chunks++
		for _, kv := range r.Kvs {
			got = append(got, string(kv.Key)+"="+string(kv.Value))
		}
	}
	check(len(got) == n && len(plain.Kvs) == n, "%d, %d of %d keys", len(got), len(plain.Kvs), n)
	for i, kv := range plain.Kvs {
		check(got[i] == string(kv.Key)+"="+string(kv.Value), "at %d: %.20s", i, got[i])
	}
	fmt.Println("chunks", chunks)
}
