# SPDX-License-Identifier: Apache-2.0
"""What `bulkhead check` says of a key, a subject and a stream is what happens to it: each sentence is held against
sidecars of a small tree on real servers, hostile bytes included."""

import json
import re
import unittest
import urllib.request

import rawnats
import stack as real
from wirepb import every, field, pb

TREE = ("default", "a", "a/b", "a/b/c", "z")
KEYS = ("models/x", "models", "model", "instances/a/b", "mdc", "v1/mdc/", "v1/x", "locks/x", "/x", "bh/d/a.models/x", "bh/m/v", ".", "0",
        "/a.models/x", "models/\u00e9", "models/\x01\x1b[31m", 'models/"q"\\x41', "models/" + "k" * 3000, " ", "-x", "models/%41")
SUBJECTS = ("plain", "namespace.x", "namespace", "_INBOX.x.1", "_INBOX", "b.gen-0123456789abcdef", "b.gen-0123456", "b.gen-0123456789ABCDEF",
            "b.x.gen-01234567", "namespace.g-0123456789ab", "$SRV.PING", "$SRV", "$KV.b.k", "$JS.API.STREAM.INFO.X", "$JS.API.META.X",
            "$JS.ACK.X.c.1.1.1.1.1", "$JS.FC.X.c.y", "$JS.hub.API.INFO", "$JS", "$SYS.x", "$SYSX.y", "bh.e.a.b.~.~.plain", "bh.d.z.~.~.~.$SRV.PING",
            "\u00e9.x", "x\x01\x1b[31m", 'x"y\\.z', "x" * 300, "a.b*",
            ">", "*", "*.*", "*.>", "_INBOX.*", "namespace.>", "namespace.*.x", "$SRV.*", "$SYS.>", "*.gen-0123456789abcdef", "$JS.EVENT.>", "bh.>")
STREAMS = ("OBJ_x", "OBJ", "ORDERS", "x-kv-events", "a~b", "~~x", "OBJ_\u00e9", "S" * 240, "S" * 256, "x\x01")
NO_STREAMS = ("OBJ_*", "OBJ_>", "a.b", "a/b", "a\\b", "a b", "")


def speakers(nth):
    """Who says the nth of a list: a child, and by turns the root or a child that sees itself alone."""
    return ("a/b", "subtree"), (("default", "subtree"), ("a/b", "own"))[nth % 2]


def above(name):
    parts = name.split("/")
    return [] if name == "default" else ["default"] + ["/".join(parts[:i]) for i in range(1, len(parts))]


def read_back(text):
    """The bytes that a quoted word stands for."""
    text = re.sub(r"\\(x[0-9a-f]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1], text)
    return text.encode("latin-1")


def quoted(pattern, text):
    return {read_back(m) for m in re.findall(pattern.replace("Q", r'"((?:[^"\\]|\\.)*)"'), text)}


class Check(unittest.TestCase):
    longMessage = True

    def setUp(self):
        self.stack = real.Stack(type(self).__name__)
        self.addCleanup(self.stack.close)

    def tree(self, etcd=None, nats=None):
        return {(n, v): self.stack.sidecar(n, etcd, nats, args=("--view", v)) for n in TREE for v in ("subtree", "own")}

    def said(self, where, option, what):
        name, view = where
        done = real.run([real.sidecar_binary(), "check", "--etcd-upstream", "http://127.0.0.1:1", "--nats-upstream", "nats://127.0.0.1:1",
                         "--namespace", name, "--view", view, option + "=" + what])
        self.assertEqual(0, done.returncode, done.stderr)
        said = done.stdout[done.stdout.rindex("\n\n"):]
        self.assertRegex(said, r"\A[\n -~]*\Z")  # nothing that a terminal obeys
        return said

    def hearers(self, where, said, phrase):
        return {(where[0], "subtree"), (where[0], "own")} | {(n, "subtree") for n in re.findall(phrase + r" (\S+), where the view is subtree", said)}

    def test_keys(self):
        store = self.stack.etcd()
        clients = {where: self.stack.etcd_client(s.etcd) for where, s in self.tree(store).items()}
        raw = self.stack.etcd_client(store.addr)

        def call(client, method, *fields):
            answer = client.ask(f"raw /etcdserverpb.KV/{method} {pb(*fields).hex()}")
            self.assertRegex(answer, "^OK")
            return bytes.fromhex(answer[3:])

        def read(client, *fields):
            return {field(kv, 1): field(kv, 5, b"") for kv in every(call(client, "Range", *fields), 2)}
        for i, key in enumerate(KEYS):
            for where in speakers(i):
                said, what, me = self.said(where, "--key", key), f"{key[:30]!r} in {where}", clients[where]
                key_bytes = key.encode()
                before = set(read(raw, (1, b"\0"), (2, b"\0")))
                call(me, "Put", (1, key_bytes), (2, b"V"))
                self.assertEqual(quoted("stored as Q", said), set(read(raw, (1, b"\0"), (2, b"\0"))) - before, what)
                self.assertEqual(self.hearers(where, said, "seen from"), {w for w, c in clients.items() if read(c, (1, key_bytes))}, what)
                call(me, "DeleteRange", (1, key_bytes))
                call(clients["a/b/c", "own"], "Put", (1, key_bytes), (2, b"child's"))
                self.assertEqual("nearest descendant's" in said, bool(read(me, (1, key_bytes))), what)
                for prefix in quoted("all of it begins Q", said):
                    self.assertTrue(read(me, (1, prefix), (2, prefix + b"\xff")), what)
                    self.assertNotIn(b"child's", read(me, (1, prefix[:-1]), (2, prefix + b"\xff")).values(), what)
                call(clients["a/b/c", "own"], "DeleteRange", (1, key_bytes))

    def until_pong(self, connection):
        """False: what was sent is refused."""
        connection.send(b"PING\r\n")
        try:
            while (line := connection.next()) != b"PONG":
                if isinstance(line, bytes) and line.startswith(b"-ERR"):
                    return False
        except rawnats.Closed:
            return False
        return True

    def subscribed(self):
        """Upstream, by connection."""
        with urllib.request.urlopen(f"http://{self.monitor}/connz?subs=1&limit=1000") as answer:
            return {c["cid"]: set(c.get("subscriptions_list") or []) for c in json.load(answer)["connections"]}

    def test_subjects(self):
        bus = self.stack.nats(extra=("-js", "-sd", self.stack.path("js"), "-m", "-1"))
        self.monitor = bus.monitor
        tree = self.tree(None, bus)
        spy = rawnats.Raw(bus.addr)
        self.addCleanup(spy.close)
        spy.subscribe(">")
        for i, subject in enumerate(SUBJECTS):
            ears = {}
            for where in tree:
                ears[where] = rawnats.Raw(tree[where].nats)
                ears[where].send(f"SUB {subject} 1\r\n".encode())
                if not self.until_pong(ears[where]):
                    ears.pop(where).close()
            for where in speakers(i):
                self.one_subject(where, subject, tree[where].nats, ears, spy)
            for ear in ears.values():
                ear.close()

    def one_subject(self, where, subject, addr, ears, spy):
        said, what = self.said(where, "--subject", subject), f"{subject[:30]!r} in {where}"
        before, me = self.subscribed(), rawnats.Raw(addr)
        self.addCleanup(me.close)
        me.send(f"SUB {subject} 1\r\n".encode())
        self.assertEqual("denied" not in said, self.until_pong(me), what)
        if "denied" not in said:
            got = {s.encode() for c, subs in self.subscribed().items() for s in subs - before.get(c, set())}
            self.assertEqual(quoted("SUB listens to Q: ", said), got, what)
        if not {"*", ">"}.isdisjoint(subject.split(".")):
            self.assertNotIn("PUB", said)
            return
        me = rawnats.Raw(addr)
        self.addCleanup(me.close)
        spy.drain()
        for ear in ears.values():
            ear.drain()
        me.send(f"PUB {subject} 1\r\nM\r\n".encode())
        self.assertEqual("denied" not in said, self.until_pong(me), what)
        stored = {m.subject.encode("latin-1") for m in spy.drain() if m.payload == b"M"}
        heard = {w for w, ear in ears.items() if any(m.payload == b"M" for m in ear.drain())}
        if "PUB goes to \"" not in said:
            self.assertEqual(set(), heard, what)
            self.assertEqual("denied" in said or "PUB is refused" in said, not stored, what)
            return
        self.assertEqual(quoted("PUB goes to Q", said), stored, what)
        want = self.hearers(where, said, "    and by")
        if "every descendant" in said:
            want |= {w for w in ears if where[0] in above(w[0])}
        self.assertEqual(want, heard, what)

    def test_wildcards_of_an_ancestor_hear_what_a_request_of_view_own_is(self):
        bus = self.stack.nats()
        tree, subject = self.tree(None, bus), "namespace.g-0123456789ab"
        ear, mouth = rawnats.Raw(tree["a", "subtree"].nats), rawnats.Raw(tree["a/b", "own"].nats)
        for c in (ear, mouth):
            self.addCleanup(c.close)
        self.assertIn("by wildcards inside a pattern of view-events, by a, ", self.said(("a/b", "own"), "--subject", subject))
        ear.subscribe("namespace.>")
        mouth.publish(subject, "M")
        mouth.flush()
        self.assertEqual([subject], [m.subject for m in ear.drain()])

    def test_streams(self):
        bus = self.stack.nats(extra=("-js", "-sd", self.stack.path("js")))
        tree = self.tree(None, bus)

        def ask(addr, verb, body=b""):
            c = rawnats.Raw(addr)
            c.subscribe("_INBOX.r")
            c.publish("$JS.API.STREAM." + verb, body, reply="_INBOX.r")
            while not isinstance(m := c.next(), rawnats.Message):
                pass
            c.close()
            return json.loads(m.payload)
        for i, name in enumerate(STREAMS):
            for where in speakers(i):
                said, what = self.said(where, "--stream", name), f"{name[:30]!r} in {where}"
                made = ask(tree[where].nats, "CREATE." + name, json.dumps({"name": name, "subjects": ["s"]}).encode())
                self.assertEqual("too long" in said, "error" in made, what)
                stored = ask(bus.addr, "NAMES").get("streams") or []
                self.assertEqual(quoted("stored as Q", said), {s.encode() for s in stored}, what)
                if stored:
                    readers = {w for w, s in tree.items() if "error" not in ask(s.nats, "INFO." + name)}
                    self.assertEqual(self.hearers(where, said, "read by"), readers, what)
                    ask(tree[where].nats, "DELETE." + name)
        for name in NO_STREAMS:
            done = real.run([real.sidecar_binary(), "check", "--nats-upstream", "nats://127.0.0.1:1", "--stream=" + name])
            self.assertEqual(2, done.returncode, name)
            if name and " " not in name:
                made = ask(tree["a", "own"].nats, "CREATE." + name, json.dumps({"name": name, "subjects": ["s"]}).encode())
                self.assertIn("error", made, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
