# SPDX-License-Identifier: Apache-2.0
"""View subtree of keys (design.md 4.5) on a real etcd: a parent sees its descendants, nobody sees a
sibling or an ancestor, and whatever writes, compares, locks or leases stays in its own slice.

Law V: a Watch replayed from a Range is the Range, over collisions, restarts of etcd and of sidecars.
The random program's seed is printed; VIEW_SEED repeats one, VIEW_S says for how many seconds.
"""

import os
import random
import re
import time
import unittest

import cases
import seeds
import stack as real

TREE = ("default", "a", "a/b", "a/b/c", "a/d", "ab", "a-b", "a0")
KV = re.compile(r'kvs \{ key "([^"]*)"[^}]*?(?: value "([^"]*)")?(?: lease [#0-9]+)? \}')
EVENT = re.compile(r'events \{ (type DELETE )?kv \{ key "([^"]*)"[^}]*?(?: value "([^"]*)")?(?: lease [#0-9]+)? \}')
FLOODS, FLOOD_PUTS = 100, 100
MODELS = 'key "models/" range_end "models0"'


def is_within(above, name):
    return above == "default" or name == above or name.startswith(above + "/")


def nearness(name):
    return (0 if name == "default" else name.count("/") + 1, name)


class Store:
    """The oracle: what every namespace holds, and what each sees of it."""

    def __init__(self):
        self.held = {}

    def seen(self, above):
        seen = {}
        for (name, key), value in sorted(self.held.items(), key=lambda i: nearness(i[0][0]), reverse=True):
            if is_within(above, name):
                seen[key] = value
        return seen


class View(unittest.TestCase):
    longMessage = True

    def setUp(self):
        self.stack = real.Stack(type(self).__name__)
        self.addCleanup(self.stack.close)
        self.etcd = self.stack.etcd(port=self.stack.port())  # its own, also while it is restarted
        self.sidecars, self.clients, self.store = {}, {}, Store()
        for name in TREE:
            self.start(name)

    def start(self, name, view="subtree"):
        self.sidecars[name] = self.stack.sidecar(name, self.etcd, args=("--view", view))
        self.clients[name] = self.stack.etcd_client(self.sidecars[name].etcd)

    def ask(self, name, line):
        return self.clients[name].ask(line)

    def put(self, name, key, value):
        self.assertRegex(self.ask(name, f'call KV.Put key "{key}" value "{value}"'), "^OK")
        self.store.held[name, key] = value

    def delete(self, name, key):
        answer = self.ask(name, f'call KV.DeleteRange key "{key}"')
        was = self.store.held.pop((name, key), None)
        self.assertEqual("OK deleted 1" if was is not None else "OK", answer)

    def range(self, name, what=MODELS):
        answer = self.ask(name, "call KV.Range " + what)
        self.assertRegex(answer, "^OK")
        return answer

    def read(self, name, what=MODELS):
        return dict(KV.findall(self.range(name, what)))

    def test_a_parent_sees_its_descendants_and_nobody_else_does(self):
        for name in TREE:
            self.put(name, "models/" + name.replace("/", "_"), "of " + name)
            self.put(name, "models/same", "same of " + name)
        for name in TREE:
            self.assertEqual(self.store.seen(name), self.read(name), name)
            self.assertEqual("same of " + name, self.read(name, 'key "models/same"')["models/same"])
        self.delete("a", "models/same")
        self.assertEqual("same of a/b", self.read("a")["models/same"])
        self.assertEqual("same of default", self.read("default")["models/same"])
        self.delete("a/b", "models/same")
        self.assertEqual("same of a/d", self.read("a")["models/same"])
        # Outside the prefixes, or only partly inside one: own.
        for name in TREE:
            self.ask(name, f'call KV.Put key "locks/{name}" value "x"')
        for what in ('key "locks/" range_end "locks0"', r'key "\x00" range_end "\x00"', 'key "m" range_end "n"'):
            self.assertNotIn("of a/", self.range("a", what))
            self.assertNotIn("locks/a/", self.range("a", what))
        limited = self.range("a", MODELS + " limit 2")
        self.assertEqual(2, len(KV.findall(limited)))
        self.assertIn(f"more 1 count {len(self.store.seen('a'))}", limited)
        self.assertEqual(f"OK count {len(self.store.seen('a'))}", self.range("a", MODELS + " count_only 1"))
        status, text = real.http_get(self.sidecars["a"].health, "/metrics")
        self.assertRegex(text, r'bulkhead_hidden_total\{plane="etcd"\} [1-9]')
        cases.check_stored_keys(self.etcd)

    def test_whatever_is_not_a_read_is_its_own(self):
        self.assertEqual("OK ID 7 TTL 600", self.ask("a/b", "call Lease.LeaseGrant TTL 600 ID 7"))
        self.assertRegex(self.ask("a/b", 'call KV.Put key "models/x" value "child" lease 7'), "^OK")
        shown = self.range("a")
        self.assertIn('value "child" lease', shown)
        self.assertIn("TTL -1", self.ask("a", "call Lease.LeaseTimeToLive ID 7 keys 1"))
        self.assertRegex(self.ask("a", 'call KV.Put key "models/y" lease 7'), "^NotFound")
        self.assertEqual("OK", self.ask("a", "call Lease.LeaseLeases"))
        # A compare, and a read beside one or beside a write, see the own slice.
        txn = self.ask("a", 'call KV.Txn compare { target VERSION key "models/x" version 0 } '
                            'success { request_range { key "models/x" } }')
        self.assertIn("succeeded 1", txn)
        self.assertNotIn("child", txn)
        self.assertNotIn("child", self.ask("a", 'call KV.Txn success { request_put { key "models/z" value "p" } } '
                                                'success { request_range { key "models/x" } }'))
        # So does one of reads alone: what it reads is compared next, as Go's concurrency.STM does for ever otherwise.
        self.assertIn('"child"', self.range("a", 'key "models/x"'))
        self.assertNotIn("child", self.ask("a", 'call KV.Txn success { request_range { key "models/x" } }'))
        self.assertEqual("OK", self.ask("a", 'call KV.DeleteRange key "models/x" range_end "models/y"'))
        self.assertIn("child", self.range("a/b"))
        self.assertRegex(self.ask("a", 'call KV.Put key "models/x" value "parent"'), "^OK")
        self.assertIn('"parent"', self.range("a", 'key "models/x"'))
        self.assertIn('"child"', self.range("a/b", 'key "models/x"'))
        self.assertEqual("OK deleted 1", self.ask("a", 'call KV.DeleteRange key "models/x"'))
        self.assertIn('"child"', self.range("a", 'key "models/x"'))
        # Locks and elections of one name do not meet, though the name lies in a prefix of the view.
        for name in ("a/b", "a", "default"):
            self.assertRegex(self.ask(name, 'call Lock.Lock name "models/lock"'), "^OK")
            self.assertRegex(self.ask(name, f'call Election.Campaign name "models/boss" value "{name}"'), "^OK")
        for name in ("a/b", "a", "default"):
            self.assertIn(f'value "{name}"', self.ask(name, 'call Election.Leader name "models/boss"'))
        cases.check_stored_keys(self.etcd)

    def test_view_own_is_as_ever(self):
        self.start("a", view="own")
        self.put("a/b", "models/x", "child")
        self.assertEqual({}, self.read("a"))
        self.assertEqual("OK", self.ask("a", "open w Watch.Watch"))
        self.ask("a", f"send w create_request {{ {MODELS} }}")
        self.assertEqual("GOT created 1", self.ask("a", "recv w"))
        self.put("a/b", "models/x", "again")
        self.put("a", "models/own", "1")
        self.assertEqual([("", "models/own", "1")], EVENT.findall(self.ask("a", "recv w")))
        self.sidecars["a"] = self.stack.sidecar("a", self.etcd, args=("--etcd-view", "own", "--nats-view", "subtree"))
        self.clients["a"] = self.stack.etcd_client(self.sidecars["a"].etcd)
        self.assertEqual({"models/own": "1"}, self.read("a"))

    def test_what_is_shown_comes_through_a_flood_of_what_is_not(self):
        """Enough a millisecond that the sidecar wakes up for many at once (io/coalesce.h)."""
        self.start("a")
        self.assertEqual("OK", self.ask("a", "open w Watch.Watch"))
        self.ask("a", f"send w create_request {{ {MODELS} }}")
        self.assertEqual("GOT created 1", self.ask("a", "recv w"))
        raw = self.stack.etcd_client(self.etcd.addr)
        puts = "".join(f'success {{ request_put {{ key "bh/d/a/b.other/{i}" }} }} ' for i in range(FLOOD_PUTS))
        for i in range(FLOODS):
            self.assertRegex(raw.ask("call KV.Txn " + puts), "^OK succeeded 1")
            if i % 10 == 0:
                raw.ask(f'call KV.Put key "bh/d/a/b.models/{i}" value "{i}"')
                self.assertEqual([("", f"models/{i}", str(i))], EVENT.findall(self.ask("a", "recv w")))
        raw.ask('call KV.Put key "bh/d/a/b.models/last"')
        self.assertIn('key "models/last"', self.ask("a", "recv w"))
        status, text = real.http_get(self.sidecars["a"].health, "/metrics")
        self.assertIn(f"\nbulkhead_view_skipped_events_total {FLOODS * FLOOD_PUTS}\n", text, status)

    def test_an_etcd_that_takes_few_operations_is_read_in_narrow_pages(self):
        self.etcd = self.stack.etcd("narrow", extra=("--max-txn-ops=5",))
        for name in TREE:
            self.start(name)
        for name in TREE:
            self.put(name, "models/" + name.replace("/", "_"), "of " + name)
        for _ in range(2):
            for name in TREE:
                self.assertEqual(self.store.seen(name), self.read(name), name)
        self.assertEqual("OK", self.ask("default", "open w Watch.Watch"))
        self.ask("default", f"send w create_request {{ {MODELS} }}")
        self.assertEqual("GOT created 1", self.ask("default", "recv w"))
        self.put("a/b/c", "models/new", "seen")
        self.assertIn('key "models/new"', self.ask("default", "recv w"))

    def test_more_namespaces_than_one_transaction_reads(self):
        raw = self.stack.etcd_client(self.etcd.addr)
        want = {}
        for i in range(300):
            raw.ask(f'call KV.Put key "bh/m/n/a/n{i}." value "x"')
            raw.ask(f'call KV.Put key "bh/d/a/n{i}.models/k{i % 290}" value "{i}"')
            want.setdefault(f"models/k{i % 290}", []).append((f"n{i}", str(i)))
        winners = {k: min(v)[1] for k, v in want.items()}
        self.assertEqual(winners, self.read("a"))
        self.assertEqual(winners, self.read("a"))
        self.assertEqual(winners, self.read("default"))
        self.assertEqual({}, self.read("ab"))
        for i in range(300):
            raw.ask(f'call KV.DeleteRange key "bh/d/a/n{i}.models/k{i % 290}"')
            raw.ask(f'call KV.DeleteRange key "bh/m/n/a/n{i}."')
        self.assertEqual({}, self.read("a"))
        self.put("a/b", "models/k", "1")
        self.assertEqual({"models/k": "1"}, self.read("a"))

    # Law V

    def begin_watch(self, name):
        """A Range, and a Watch that is created before anything else happens."""
        self.replayed[name] = self.read(name)
        self.assertEqual("OK", self.ask(name, "open w Watch.Watch"))
        self.ask(name, f"send w create_request {{ {MODELS} prev_kv 1 }}")
        self.assertEqual("GOT created 1", self.ask(name, "recv w"))

    def until_fence(self, name):
        self.fences += 1
        self.put(name, "models/~fence", str(self.fences))
        while self.replayed[name].get("models/~fence") != str(self.fences):
            answer = self.ask(name, "recv w")
            events = EVENT.findall(answer)
            self.assertTrue(events, answer if answer != "END" else self.ask(name, "status w"))
            for deleted, key, value in events:
                if deleted:
                    self.replayed[name].pop(key, None)
                else:
                    self.replayed[name][key] = value
        self.assertEqual(self.store.seen(name), self.replayed[name], name)
        self.assertEqual(self.store.seen(name), self.read(name), name)

    def restart_etcd(self):
        port, data = int(self.etcd.addr.rsplit(":", 1)[1]), self.etcd.data
        self.etcd.stop()
        self.etcd = self.stack.etcd(port=port, data=data)
        for client in self.clients.values():
            real.wait_until(lambda c=client: c.ask("call KV.Range key \"x\"").startswith("OK"), "etcd is back")

    def test_law_v(self):
        seed = seeds.seed("VIEW_SEED")
        rng, self.replayed, self.fences = random.Random(seed), {}, 0
        end = time.monotonic() + float(os.environ.get("VIEW_S", "10"))
        watched = ("default", "a", "a/b", "ab")
        for name in watched:
            self.begin_watch(name)
        restarts = 0
        while time.monotonic() < end or restarts < 2:
            for i in range(20):
                name, key = rng.choice(TREE), f"models/{rng.randrange(4)}"
                if rng.random() < 0.6:
                    self.put(name, key, f"{self.fences}.{i}")
                else:
                    self.delete(name, key)
            if rng.random() < 0.04 or (restarts == 0 and self.fences > 40):
                restarts += 1
                self.restart_etcd()
            if rng.random() < 0.04 or (restarts == 1 and self.fences > 80):
                restarts += 1
                name = rng.choice(watched)
                self.clients[name].stop()
                self.sidecars[name].finish()
                self.start(name)
                self.begin_watch(name)
            for name in watched:
                self.until_fence(name)
        print(f"{self.fences} fences, {restarts} restarts", flush=True)
        cases.check_stored_keys(self.etcd)


if __name__ == "__main__":
    unittest.main()
