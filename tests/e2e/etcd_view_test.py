# SPDX-License-Identifier: Apache-2.0
"""View subtree of keys (design.md 4.5) on a real etcd: a parent sees its descendants, nobody sees a
sibling or an ancestor, and whatever writes, compares, locks or leases stays in its own slice.

Law V: a Watch replayed from a Range is the Range, over collisions, restarts of etcd and of sidecars.
The random program's seed is printed; VIEW_SEED repeats one, VIEW_S says for how many seconds.
"""

import concurrent.futures
import os
import random
import re
import socket
import threading
import time
import unittest

import cases
import seeds
import stack as real
import wirepb

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


class Reply:
    """A WatchResponse, with everything that it says."""

    def __init__(self, message):
        fields = dict(wirepb.read(message))
        number = fields.get(2, 0)
        self.id = number - (1 << 64) if number >> 63 else number
        self.revision = wirepb.field(fields[1], 3)
        self.created, self.canceled, self.fragment = (bool(fields.get(n)) for n in (3, 4, 7))
        self.events = [self.read_event(e) for e in wirepb.every(message, 11)]
        self.mods = [wirepb.field(wirepb.field(e, 2), 3) for e in wirepb.every(message, 11)]

    @staticmethod
    def read_event(event):
        """(DELETE or PUT, key, value, value before or None)"""
        fields = dict(wirepb.read(event))
        kv, prev = dict(wirepb.read(fields[2])), fields.get(3)
        before = None if prev is None else wirepb.field(prev, 5, b"").decode()
        if prev is not None and wirepb.field(prev, 1) != kv[1]:
            before = "of another key: " + repr(prev)
        return ("DELETE" if fields.get(1) else "PUT", kv[1].decode(), kv.get(5, b"").decode(), before)


class Relay:
    """Between a sidecar and etcd: holds back what has a word in it until it is let go."""

    def __init__(self, to):
        self.to, self.word = to, None
        self.holds, self.goes = threading.Event(), threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.sockets = [self.server]
        self.addr = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def hold(self, word):
        self.word = word

    def accept(self):
        while True:
            try:
                one = self.server.accept()[0]
            except OSError:
                return
            host, port = self.to.rsplit(":", 1)
            two = socket.create_connection((host, int(port)), real.WAIT_S)
            self.sockets += [one, two]
            for pair in ((one, two), (two, one)):
                threading.Thread(target=self.copy, args=pair, daemon=True).start()

    def copy(self, source, to):
        try:
            while data := source.recv(65536):
                if self.word is not None and self.word in data:
                    self.word = None
                    self.holds.set()
                    self.goes.wait()
                to.sendall(data)
        except OSError:
            pass
        finally:
            to.close()

    def close(self):
        self.goes.set()
        for s in self.sockets:
            s.close()


class Watches(unittest.TestCase):
    """Fragments, progress, filters and prev_kv over a subtree: what etcd says of one slice."""

    maxDiff = 2000
    NAMES = ("a", "a/b", "a/b/c")
    # etcd cuts a response at this and 512 KiB more.
    ETCD = ("--max-request-bytes=100000",)
    VALUE_BYTES = 50000

    def setUp(self):
        self.stack = real.Stack(type(self).__name__)
        self.addCleanup(self.stack.close)
        help_text = real.run([real.find_program("etcd"), "--help"])
        is_old = "--experimental-watch-progress-notify-interval" in help_text.stdout + help_text.stderr  # up to 3.6
        notify = f"--{'experimental-' if is_old else ''}watch-progress-notify-interval=100ms"
        self.etcd = self.stack.etcd(extra=(*self.ETCD, notify))
        self.raw = self.stack.etcd_client(self.etcd.addr)
        self.clients = {}
        for name in self.NAMES:
            at = self.stack.sidecar(name, self.etcd, args=("--view", "subtree")).etcd
            self.clients[name] = self.stack.etcd_client(at)
        self.held = {}

    def write(self, *ops):
        """(namespace, key, value or None) in one revision, which is returned."""
        text = ""
        for name, key, value in ops:
            stored = f'key "bh/d/{name}.{key}"'
            text += f" success {{ request_delete_range {{ {stored} }} }}" if value is None else \
                    f' success {{ request_put {{ {stored} value "{value}" }} }}'
        self.assertRegex(self.raw.ask("call KV.Txn" + text), "^OK.* succeeded 1")
        return self.revision()

    def revision(self):
        answer = bytes.fromhex(self.raw.ask("raw /etcdserverpb.KV/Range " + wirepb.pb((1, "x")).hex())[3:])
        return wirepb.field(wirepb.field(answer, 1), 3)

    def open(self, client, name="w"):
        self.assertEqual("OK", client.ask(f"open {name} /etcdserverpb.Watch/Watch"))

    def send(self, client, request, name="w"):
        self.assertEqual("OK", client.ask(f"send {name} {request.hex()}"))

    def recv(self, client, name="w"):
        answer = client.ask(f"recv {name}")
        self.assertRegex(answer[:40], "^GOT ")
        reply = Reply(bytes.fromhex(answer[4:]))
        self.assertFalse(reply.canceled)
        return reply

    def watch(self, client, key, end, *fields, name="w"):
        self.send(client, wirepb.pb((1, wirepb.pb((1, key), (2, end), *fields))), name)
        while not (reply := self.recv(client, name)).created:
            self.assertEqual([], reply.events)  # another watch's progress
        return reply.id

    def glued(self, client, count, name="w"):
        """So many events, and the fragment flags of the responses that brought them."""
        events, flags, revisions = [], [], []
        while len(events) < count or flags[-1]:
            reply = self.recv(client, name)
            events += reply.events
            flags.append(reply.fragment)
            revisions.append(reply.revision)
        return events, flags, revisions

    def test_fragments(self):
        def big(name, i):
            return f"{name} {i} ".ljust(self.VALUE_BYTES, "v")

        def key(i):
            return f"models/k{i:02}"

        client, interval = self.clients["a"], ("bh/d/a.", "bh/d/a0")
        first = self.revision() + 1
        foreign = [("a/b", f"locks/{i:02}", None) for i in range(28)]
        for name, locked, _ in foreign:
            self.write((name, locked, big(name, 0)))
        shown, middle, after = [], [], []
        for i in range(15):
            kind = i % 5
            if kind != 0:  # two hold it, or take turns
                self.write(("a/b/c", key(i), big("far", i)))
                shown.append(("PUT", key(i), big("far", i), None))
            if kind != 4:
                self.write(("a/b", key(i), big("near", i)))
                shown.append(("PUT", key(i), big("near", i), big("far", i) if kind else None))
            if kind == 0:  # its only holder
                middle.append(("a/b", key(i), None))
                after.append(("DELETE", key(i), "", big("near", i)))
            elif kind == 1:  # another holder is left
                middle.append(("a/b", key(i), None))
                after.append(("PUT", key(i), big("far", i), big("near", i)))
            elif kind == 2:  # a farther one was deleted
                middle.append(("a/b/c", key(i), None))
            elif kind == 3:  # both, in one revision
                middle += [("a/b", key(i), None), ("a/b/c", key(i), None)]
                after.append(("DELETE", key(i), "", big("near", i)))
            else:  # the parent takes it over
                middle.append(("a", key(i), "own"))
                after.append(("PUT", key(i), "own", big("far", i)))
        ops = foreign[:14] + middle + foreign[14:]
        fields = (6, 1), (8, 1)
        for c, where in ((self.raw, interval), (client, ("models/", "models0"))):
            self.open(c)
            self.watch(c, *where, *fields)
        revision = self.write(*ops)
        stored, flags, _ = self.glued(self.raw, len(ops))
        self.assertEqual(len(ops), len(stored))
        events, seen_flags, revisions = self.glued(client, len(after))
        self.assertEqual(after, events)
        # Not cut, not merged; the first and the last have nothing that is seen.
        self.assertGreaterEqual(len(flags), 3)
        self.assertEqual(flags, seen_flags)
        self.assertEqual({revision}, set(revisions))
        # The same from the beginning, in one response of many revisions.
        for c, where in ((self.raw, interval), (client, ("models/", "models0"))):
            self.open(c, "old")
            self.watch(c, *where, *fields, (3, first), name="old")
        _, flags, _ = self.glued(self.raw, len(foreign) + len(shown) + len(ops), "old")
        events, seen_flags, _ = self.glued(client, len(shown) + len(after), "old")
        self.assertEqual(shown + after, events)
        self.assertGreaterEqual(len(flags), 6)
        self.assertEqual(flags, seen_flags)

    def test_progress(self):
        client = self.clients["a"]
        self.open(client)
        own = self.watch(client, "locks/", "locks0", (4, 1), (6, 1))
        view = self.watch(client, "models/", "models0", (4, 1), (6, 1))
        quiet = self.watch(client, "models/none", "", (4, 1))  # of the view, and nothing of it happens
        ids = {own, view, quiet}
        self.assertEqual(3, len(ids))
        announced, events, seen = dict.fromkeys(ids, 0), {own: [], view: [], quiet: []}, []

        def take():
            reply = self.recv(client)
            if reply.events:
                self.assertGreater(min(reply.mods), announced[reply.id], "announced before")
                events[reply.id] += reply.events
            else:
                for i in ids if reply.id == -1 else (reply.id,):
                    self.assertGreaterEqual(reply.revision, announced[i])
                    announced[i] = reply.revision
            seen.append((reply.id, reply.revision, bool(reply.events)))
            return reply

        for turn in range(6):
            key = f"models/{turn}"
            self.write(("a/b", key, "near"), ("a/b/c", key, "far"))
            self.write(("a/b", key, None))  # its survivor has to be read: the others wait
            self.write(("a", key, "own"))  # so has what it replaces
            revision = self.write(("a", f"locks/{turn}", "x"))
            while not events[own]:
                take()
            # What etcd sent before is there before.
            self.assertEqual([("PUT", key, "near", None), ("PUT", key, "far", "near"),
                              ("PUT", key, "own", "far")], events[view])
            self.assertEqual([("PUT", f"locks/{turn}", "x", None)], events[own])
            events[own], events[view] = [], []
            if turn % 2:  # asked for; otherwise etcd tells each by itself, when nothing happens
                self.send(client, wirepb.pb((3, b"")))
                while take().id != -1:
                    pass
            while min(announced.values()) < revision:
                take()
            self.assertEqual({revision}, set(announced.values()))
        self.assertEqual([], events[quiet])
        for i in ids:
            self.assertTrue(any(s[0] == i and not s[2] for s in seen), f"no progress of {i}: {seen}")

    def test_a_watch_that_begins_now_is_not_told_of_compactions(self):
        """Somebody writes and compacts all the while; COMPACT_WATCHES watches begin, and end.

        etcd tells 2 of 1,000 itself, between its choice of "now" and the watch; more on a busy machine."""
        client, ends, compacted = self.clients["a"], threading.Event(), 0
        count = int(os.environ.get("COMPACT_WATCHES", "40"))

        def compact():
            while not ends.is_set():
                revision = self.write(("a/b", "models/busy", "x"))
                self.assertRegex(self.raw.ask(f"call KV.Compact revision {revision}"), "^OK")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            task = pool.submit(compact)
            try:
                for _ in range(count):
                    self.open(client)
                    self.watch(client, "models/", "models0")
                    reply = Reply(bytes.fromhex(client.ask("recv w")[len("GOT "):]))
                    self.assertNotEqual(reply.canceled, bool(reply.events))
                    compacted += reply.canceled
                    self.assertEqual("OK", client.ask("cancel w"))
                    self.assertRegex(client.ask("status w"), "^Canceled")
            finally:
                ends.set()
            task.result()
        self.assertLess(compacted, count / 4)

    def nearest(self, key):
        return min((n for n, k in self.held if k == key), key=nearness, default=None)

    def change(self, name, key, value):
        """Writes; returns the events that the parent is to see."""
        was = self.nearest(key)
        before = self.held.get((was, key))
        self.write((name, key, value))
        if value is not None:
            self.held[name, key] = value
        elif self.held.pop((name, key), None) is None:
            return []
        now = self.nearest(key)
        if name != (was if value is None else now):
            return []
        return [("DELETE", key, "", before) if now is None else ("PUT", key, self.held[now, key], before)]

    def test_a_watch_of_the_future_is_not_told_of_compactions(self):
        client = self.clients["a"]
        for _ in range(5):
            self.open(client)
            start = self.revision() + 4
            self.watch(client, "models/", "models0", (3, start))
            revisions = [self.write(("a/b", "models/k", str(i))) for i in range(8)]
            self.assertRegex(self.raw.ask(f"call KV.Compact revision {revisions[-2]}"), "^OK")
            mods = []
            while not mods or mods[-1] < revisions[-1]:
                mods += self.recv(client).mods
            self.assertEqual([r for r in revisions if r >= start], mods)
            self.assertEqual("OK", client.ask("cancel w"))
            self.assertRegex(client.ask("status w"), "^Canceled")

    def test_a_watch_whose_future_comes_while_it_is_made_shows_all_of_it(self):
        relay = Relay(self.etcd.addr)
        self.addCleanup(relay.close)
        sidecar = self.stack.sidecar("a", "http://" + relay.addr, args=("--view", "subtree"))
        client = self.stack.etcd_client(sidecar.etcd)
        self.open(client)
        self.watch(client, "instances/", "instances0", (7, 5))
        start = self.revision() + 3
        relay.hold(b"bh/d/a0")  # a create, on its way to etcd
        self.send(client, wirepb.pb((1, wirepb.pb((1, "models/"), (2, "models0"), (3, start)))))
        self.assertTrue(relay.holds.wait(real.WAIT_S))
        revisions = [self.write(("a/b", "models/k", str(i))) for i in range(5)]
        relay.goes.set()
        created = self.recv(client)
        self.assertTrue(created.created)
        self.assertEqual(revisions[-1], created.revision)
        revisions += [self.write(("a/b", "models/k", "last")), self.write(("a/b", "instances/x", "1"))]
        mods = {5: [], created.id: []}
        while sum(map(len, mods.values())) < 5:
            reply = self.recv(client)
            self.assertFalse(reply.created)
            mods[reply.id] += reply.mods
        self.assertEqual({5: revisions[6:], created.id: revisions[2:6]}, mods)
        metrics = real.http_get(sidecar.health, "/metrics")[1]
        self.assertEqual(["1"], re.findall(r'^bulkhead_resumed_streams_total{plane="etcd"} (.*)', metrics, re.M))

    def test_filters_and_prev_kv(self):
        seed = seeds.seed("VIEW_SEED")
        rng, client = random.Random(seed), self.clients["a"]
        no_put, no_delete = (5, 0), (5, 1)
        asked = {"all": (), "nodelete": (no_delete,), "noput": (no_put,), "packed": ((5, b"\0"),),
                 "twice": (no_delete, no_delete), "none": (no_put, no_delete)}
        self.change("a/b/c", "models/0", "held before")
        for name, filters in asked.items():
            self.open(client, name)
            self.watch(client, "models/", "models0", *filters, (6, 1), name=name)
        self.open(client, "plain")
        self.watch(client, "models/", "models0", no_delete, name="plain")
        want = []
        for i in range(120):
            value = None if rng.random() < 0.45 else str(i)
            want += self.change(rng.choice(self.NAMES), f"models/{rng.randrange(3)}", value)
        want += self.change("a", "models/~", "fence") + self.change("a", "models/~", None)
        puts, deletes = ([e for e in want if e[0] == what] for what in ("PUT", "DELETE"))
        for name, events in (("all", want), ("nodelete", puts), ("twice", puts), ("noput", deletes),
                             ("packed", deletes), ("plain", [(*e[:3], None) for e in puts])):
            self.assertEqual(events, self.glued(client, len(events), name)[0], name)
        # Filters that leave nothing: a progress is the first thing that comes.
        self.send(client, wirepb.pb((3, b"")), "none")
        reply = self.recv(client, "none")
        self.assertEqual((-1, []), (reply.id, reply.events))


if __name__ == "__main__":
    unittest.main()
