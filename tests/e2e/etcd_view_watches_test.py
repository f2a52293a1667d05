# SPDX-License-Identifier: Apache-2.0
"""Watches over a subtree (design.md 4.5), message by message: fragments, progress, filters, prev_kv, and where
they begin while somebody compacts."""

import concurrent.futures
import os
import random
import re
import socket
import threading
import unittest

import seeds
import stack as real
import wirepb


def nearness(name):
    return (name.count("/"), name)


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
