# SPDX-License-Identifier: Apache-2.0
"""The NATS protocol byte by byte: what a tenant reads and writes, and what the shared server sees."""

import json
import os
import unittest

import cases
import rawnats
import stack as real


class NatsRaw(cases.Shared):
    use_etcd = False
    neighbours = ("a/child", "default")

    def raw(self, sidecar=None, **kwargs):
        connection = rawnats.Raw((sidecar or self.a).nats, **kwargs)
        self.addCleanup(connection.close)
        return connection

    def monitor(self):
        connection = rawnats.Raw(self.nats.addr)
        self.addCleanup(connection.close)
        connection.subscribe(">")
        return connection

    def test_info_tells_nothing_of_the_cluster(self):
        upstream = rawnats.Raw(self.nats.addr)
        info = self.raw().info
        self.assertIn("client_ip", upstream.info)
        for name in ("connect_urls", "ws_connect_urls", "cluster", "client_ip", "ip", "nonce", "auth_required",
                     "tls_required", "tls_verify", "tls_available"):
            self.assertNotIn(name, info)
        self.assertEqual(self.a.nats, f'{info["host"]}:{info["port"]}')
        for name in ("server_id", "version", "max_payload", "headers", "proto"):
            self.assertEqual(upstream.info[name], info[name], name)
        upstream.close()

    def test_control_lines_as_long_as_the_server_takes_them(self):
        """The servers do not say how long that is: the option does. Without it a longer line ends its own connection only."""
        path = self.stack.path("long-lines.conf")
        with open(path, "w") as f:
            f.write("max_control_line: 16384\n")
        bus = self.stack.nats("long-lines", extra=("-c", path, "-js", "-sd", self.stack.path("long-lines-js")))
        told = self.stack.sidecar("a", nats=bus, args=("--nats-max-control-line", "16384"))
        untold = self.stack.sidecar("a", nats=bus)
        long = "x" * 7000
        c = self.raw(told)
        c.subscribe(long + ".>", "1")
        c.subscribe("_INBOX.js", "2")
        c.publish(f"{long}.y", b"one", "_INBOX." + long)
        c.publish("$JS.API.STREAM.CREATE.S", b'{"name":"S","subjects":["%s.>"],"storage":"memory"}' % long.encode(), "_INBOX.js")
        while len(c.messages) < 2:
            c.next()
        self.assertEqual((f"{long}.y", "_INBOX." + long, b"one"), (c.messages[0].subject, c.messages[0].reply, c.messages[0].payload))
        self.assertEqual([long + ".>"], json.loads(c.messages[1].payload)["config"]["subjects"])
        other = self.raw(untold)
        for line in (f"SUB {long} 1\r\n", f"PUB {long} 0\r\n\r\n"):
            ends = self.raw(untold)
            ends.flush()
            ends.send(line)
            self.assertEqual([b"-ERR 'Maximum Control Line Exceeded'"], ends.until_closed())
        other.flush()
        self.assertIn("--nats-max-control-line", untold.log())
        # Longer than the server takes: it says so itself, and ends that connection.
        over = self.raw(told)
        over.flush()
        over.send(f"SUB {'x' * 16380} 1\r\n")
        self.assertEqual([b"-ERR 'Maximum Control Line Exceeded'"], over.until_closed())
        c.flush()

    def test_layout_of_every_kind_of_subject(self):
        monitor = self.monitor()
        a = self.raw()
        a.publish("foo", "x", reply="_INBOX.abc.1")
        a.publish("$KV.bucket.key", "x")
        a.publish("dynamo_backend.generate-694d9be0c2ea2f0a", "x")
        a.publish("$SRV.PING", "x")
        a.send(b"HPUB foo.h reply.to 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
        a.flush()
        child = self.raw(self.around[0])
        child.publish("foo", "x")
        child.flush()
        heard = monitor.drain()
        self.assertEqual(
            [("bh.e.a.~.~.~.foo", "bh.e.a.~.~.~._INBOX.abc.1"), ("bh.e.a.~.~.~.$KV.bucket.key", None),
             ("bh.e.a.~.~.~.dynamo_backend.generate-694d9be0c2ea2f0a", None), ("bh.e.a.~.~.~.$SRV.PING", None),
             ("bh.e.a.~.~.~.foo.h", "bh.e.a.~.~.~.reply.to"), ("bh.e.a.child.~.~.foo", None)],
            [(m.subject, m.reply) for m in heard])
        self.assertEqual((b"NATS/1.0\r\n\r\n", b"hi"), heard[4][3:])

    def test_queue_groups_of_two_tenants_do_not_share(self):
        members = {}
        for who, sidecar in (("a", self.a), ("b", self.b)):
            members[who] = [self.raw(sidecar) for _ in range(3)]
            for m in members[who]:
                m.subscribe("work", group="workers")
        for who, sidecar in (("a", self.a), ("b", self.b)):
            publisher = self.raw(sidecar)
            for n in range(300):
                publisher.publish("work", f"{who}{n}")
            publisher.flush()
        for who in members:
            shares = [m.drain() for m in members[who]]
            got = sorted(m.payload.decode() for share in shares for m in share)
            self.assertEqual(sorted(f"{who}{n}" for n in range(300)), got)
            self.assertTrue(all(shares), "every member got some")

    def test_a_child_and_its_parent_do_not_share_a_group_either(self):
        parent, child = self.raw(), self.raw(self.around[0])
        for c in (parent, child):
            c.subscribe("work", group="workers")
            c.subscribe("dyn_b.gen-0123456789abcdef", sid="2", group="q")
        for c, who in ((parent, "parent"), (child, "child")):
            for n in range(20):
                c.publish("work", f"{who}{n}")
            c.publish("dyn_b.gen-0123456789abcdef", who)
            c.flush()
        for c, who in ((parent, "parent"), (child, "child")):
            self.assertEqual([f"{who}{n}" for n in range(20)] + [who], [m.payload.decode() for m in c.drain()])

    def test_instance_subjects_reach_ones_own_members(self):
        """Requests (class down) take several upstream subscriptions; the application has one."""
        server, client, foreign = self.raw(), self.raw(), self.raw(self.b)
        subject = "dynamo_backend.generate-694d9be0c2ea2f0a"
        server.subscribe(subject, sid="9", group="q")
        server.send(b"UNSUB 9 3\r\n")
        for n in range(5):
            for c in (client, foreign):
                c.publish(subject, f"{n}", reply="_INBOX.x.1")
            client.flush()
        foreign.flush()  # or the next test's monitor could hear it
        self.assertEqual(["0", "1", "2"], [m.payload.decode() for m in server.drain()])
        client.subscribe("_INBOX.x.*")
        client.publish(subject, "nobody any more", reply="_INBOX.x.2")
        answer = client.next()
        self.assertEqual("_INBOX.x.2", answer.subject)
        # Newer servers say which subject it was; the application must see the one it wrote.
        self.assertRegex(answer.headers, rb"^NATS/1.0 503\r\n(Nats-Subject: " + subject.encode() + rb"\r\n)?\r\n$")

    def test_verbose_clients_get_one_ok_each(self):
        verbose = self.raw(connect='{"verbose":true,"pedantic":true,"headers":true}')
        verbose.send(b"SUB foo 1\r\nSUB dyn_b.gen-0123456789abcdef 2\r\nPUB bar 2\r\nhi\r\n"
                     b"UNSUB 1\r\nUNSUB 2\r\nPUB $SYS.x 0\r\n\r\nPING\r\n")
        verbose.until(b"PONG")
        self.assertEqual([b"+OK"] * 6, [line for line in verbose.said if line == b"+OK"][:6])
        self.assertEqual(1, len([line for line in verbose.said if line.startswith(b"-ERR")]), verbose.said)
        self.assertIn(len([line for line in verbose.said if line == b"+OK"]), (6, 7))

    def test_any_spelling_of_a_line_and_any_cut(self):
        a = self.raw()
        a.subscribe("foo.>", sid="x1")
        text = (b"pub foo.a 2\r\nhi\r\nPUB\tfoo.b\t  _INBOX.1   3 \r\nabc\r\n"
                b"hpub foo.c 12 13\r\nNATS/1.0\r\n\r\n!\r\nPub foo.d 0\r\n\r\n")
        for byte in text:
            a.send(bytes([byte]))
        self.assertEqual([("foo.a", None, b"hi"), ("foo.b", "_INBOX.1", b"abc"), ("foo.c", None, b"!"), ("foo.d", None, b"")],
                         [(m.subject, m.reply, m.payload) for m in a.drain()])
        self.assertEqual({"x1"}, {m.sid for m in a.messages} or {"x1"})

    def test_system_subjects_are_denied_and_the_connection_lives(self):
        a = self.raw()
        for line in (b"SUB $SYS.> 1\r\n", b"PUB $SYS.REQ.SERVER.PING 0\r\n\r\n", b"SUB $SYS.ACCOUNT.x.CONNECT 2\r\n"):
            a.send(line)
            self.assertRegex(a.next(), rb"^-ERR 'Permissions Violation for (Publish|Subscription) to \"\$SYS")
        a.flush()

    def test_jetstream_requests_are_answered(self):
        """The server has no JetStream: it says so itself, once a request has reached it."""
        a = self.raw(connect='{"verbose":false,"headers":true,"no_responders":true}')
        a.subscribe("_INBOX.js.*")
        for subject in ("$JS.API.INFO", "$JS.API.STREAM.CREATE.ORDERS", "$JS.hub.API.INFO"):
            a.publish(subject, "{}", reply="_INBOX.js.1")
            answer = a.next()
            self.assertEqual("_INBOX.js.1", answer.subject)
            self.assertIn(b"503", (answer.headers or b"") + answer.payload)
        a.publish("$JS.API.META.LEADER.STEPDOWN", "{}", reply="_INBOX.js.1")
        self.assertIn(b"not allowed in a namespace", a.next().payload)

    def test_echo_false_is_honoured(self):
        a = self.raw(connect='{"verbose":false,"echo":false}')
        other = self.raw()
        a.subscribe("foo")
        a.publish("foo", "own")
        a.flush()
        other.publish("foo", "other's")
        other.flush()
        self.assertEqual([b"other's"], [m.payload for m in a.drain()])

    def test_credentials_of_the_application_are_checked_against_nothing(self):
        a = self.raw(connect='{"verbose":false,"user":"user","pass":"user","auth_token":"t","jwt":"x","sig":"y"}')
        a.flush()

    def test_subscriptions_on_everything_hear_ones_own(self):
        everyone = [(s, self.raw(s)) for s in (self.a, self.b, *self.around)]
        for _, c in everyone:
            c.subscribe(">")
            c.subscribe("*", sid="2")
        for _ in range(20):
            for s, c in everyone:
                c.publish("hello", s.namespace)
                c.flush()
        for s, c in everyone:
            heard = c.drain()
            self.assertEqual(40, len(heard))
            self.assertEqual({s.namespace}, {m.payload.decode() for m in heard})

    def test_a_wildcard_hears_both_classes_once_and_in_the_publishers_order(self):
        listener, publisher = self.raw(self.a), self.raw(self.a)
        for sid, pattern in enumerate((">", "*.>", "gen.*"), 1):
            listener.subscribe(pattern, str(sid))
        listener.send("SUB > 4\r\nUNSUB 4 7\r\n")
        listener.flush()
        said = [("gen.ep-0123456789abcdef", "$SRV.PING", "gen.x", "x")[i * 7 % 11 % 4] for i in range(400)]
        for i, subject in enumerate(said):
            publisher.publish(subject, str(i))
        publisher.flush()
        heard = listener.drain()
        for sid, matches in (("1", lambda s: True), ("2", lambda s: "." in s), ("3", lambda s: s.startswith("gen."))):
            want = [(s, str(i)) for i, s in enumerate(said) if matches(s)]
            self.assertEqual(want, [(m.subject, m.payload.decode()) for m in heard if m.sid == sid], sid)
        self.assertEqual([str(i) for i in range(7)], [m.payload.decode() for m in heard if m.sid == "4"])

    def test_the_servers_largest_payload_passes_and_is_not_held(self):
        config = self.stack.path("large.conf")
        with open(config, "w") as f:
            f.write("max_payload: 67108864, max_pending: 268435456\n")  # the most that it takes
        server = self.stack.nats("large", extra=("-c", config))
        sidecar = self.stack.sidecar("a", nats=server)
        listener, publisher = rawnats.Raw(sidecar.nats), rawnats.Raw(sidecar.nats)
        for c in (listener, publisher):
            self.addCleanup(c.close)
        self.assertEqual(67108864, listener.info["max_payload"])
        listener.subscribe("big")
        payload = os.urandom(1 << 20) * 64
        publisher.publish("big", payload)
        while (line := listener.line()) == b"PING":
            listener.send("PONG\r\n")
        self.assertEqual(b"MSG big 1 67108864", line)
        heard = bytearray(listener.buffer)
        while len(heard) < len(payload) + 2:
            heard += listener.socket.recv(1 << 20)
        self.assertTrue(heard[:len(payload) + 2] == payload + b"\r\n")
        if not real.is_sanitized(real.sidecar_binary()):  # which keeps what was freed
            self.assertLess(sidecar.peak_kib(), 32 * 1024, "KiB, of the sidecar at its largest")
        publisher.send(f"PUB big {67108865}\r\n")
        self.assertIn(b"-ERR 'Maximum Payload Violation'", publisher.until_closed())

    def test_a_large_message_passes_whole(self):
        a, receiver = self.raw(), self.raw()
        receiver.subscribe("big")
        payload = bytes(i * 31 % 251 for i in range(1 << 20))
        a.publish("big", payload)
        self.assertEqual(payload, receiver.next().payload)


if __name__ == "__main__":
    unittest.main(verbosity=2)
