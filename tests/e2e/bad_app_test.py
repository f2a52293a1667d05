# SPDX-License-Identifier: Apache-2.0
"""Applications that send what is not the protocol: each gets a clear error, loses at most its own
connection, and a well-behaved client beside it notices nothing."""

import random
import socket
import unittest

import cases
import rawh2
import rawnats
import stack as real

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13
RANGE, PUT, TXN = "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(193))


def put(key, value=b"v", more=b""):
    return bytes([10, len(key)]) + key + bytes([18, len(value)]) + value + more


class BadApp(cases.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The healthy client: one etcd connection with a watch, one NATS connection, used all along.
        cls.well = cls.stack.etcd_client(cls.a.etcd)
        cls.well.ask("open w Watch.Watch")
        cls.well.ask('send w create_request { key "beat" watch_id 3 }')
        assert cls.well.ask("recv w") == "GOT watch_id 3 created 1"
        cls.ear = rawnats.Raw(cls.a.nats)
        cls.ear.subscribe(">")
        cls.monitor = rawnats.Raw(cls.nats.addr)
        cls.monitor.subscribe(">")
        cls.beats = 0
        cls.addClassCleanup(cls.ear.close)
        cls.addClassCleanup(cls.monitor.close)

    def tearDown(self):
        cls = type(self)
        cls.beats += 1
        self.assertEqual("OK", self.well.ask(f'call KV.Put key "beat" value "{cls.beats}"'))
        self.assertRegex(self.well.ask("recv w"), rf'GOT watch_id 3 events {{.* value "{cls.beats}" }}')
        self.ear.publish("beat", str(cls.beats))
        self.assertEqual([(f"beat", str(cls.beats).encode())], [(m.subject, m.payload) for m in self.ear.drain()])
        for m in self.monitor.drain():
            self.assertRegex(m.subject, cases.STORED_SUBJECT)
        self.assertTrue(self.a.running())
        self.a.check_clean()

    # etcd: connections

    def http1(self, data):
        host, port = self.a.etcd.split(":")
        with socket.create_connection((host, int(port)), real.WAIT_S) as s:
            s.sendall(data)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer

    def test_http1_on_the_etcd_port_is_answered(self):
        self.assertRegex(self.http1(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), rb"^HTTP/1.1 200 ")
        for head in (b"GET /v3/kv/range HTTP/1.1", b"POST /v3/kv/range HTTP/1.0", b"PUT / HTTP/1.1"):
            answer = self.http1(head + b"\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.assertRegex(answer, rb"^HTTP/1.[01] (404|405|501) ")
            self.assertGreater(len(answer.partition(b"\r\n\r\n")[2].split()), 3, "a sentence")

    def test_other_protocols_on_the_etcd_port_end_the_connection(self):
        for name, data in (("TLS", TLS_HELLO), ("NATS", b'CONNECT {"verbose":false}\r\nPING\r\n'),
                           ("noise", random.Random(1).randbytes(300) + b"\r\n\r\n"), ("nearly HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX" * 3),
                           ("a line without end", b"GET /" + b"a" * 100_000)):
            with self.subTest(name):
                answer = self.http1(data)  # returns: the connection was closed
                self.assertNotIn(b"bh/", answer)
        real.wait_until(lambda: "TLS" in self.a.log(), "the log says that it was TLS")

    def test_http2_frames_that_break_the_rules_end_the_connection(self):
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        settings = b"\0\0\0\4\0\0\0\0\0"
        for name, data in (("first frame is not SETTINGS", b"\0\0\0\6\0\0\0\0\0" * 3),
                           ("frame too large", settings + b"\xff\xff\xff\0\0\0\0\0\1" + b"x" * 20_000),
                           ("DATA on an idle stream", settings + b"\0\0\1\0\1\0\0\0\7x"),
                           ("broken header block", settings + b"\0\0\4\1\5\0\0\0\1\xff\xff\xff\xff")):
            with self.subTest(name):
                self.http1(preface + data)

    def test_headers_without_measure_end_the_call(self):
        h = rawh2.H2(self.a.etcd)
        status, text, _ = h.unary(RANGE, rawh2.frame(b"\n\1k"), [("x-big-%d" % i, "v" * 1000) for i in range(100)])
        self.assertNotEqual(OK, status)
        h.close()

    def test_header_fields_that_http2_forbids_end_the_call_only(self):
        h = rawh2.H2(self.a.etcd)
        self.addCleanup(h.close)
        h.send_as_is()
        for field in (("Upper", "x"), ("connection", "close"), ("transfer-encoding", "chunked"), ("sp ace", "x"), ("", "x"),
                      ("x", "a\r\nb"), ("x", "a\0b")):
            with self.subTest(field):
                self.assertIsNone(h.unary(PUT, rawh2.frame(put(b"forbidden")), [field])[0], "no gRPC answer: the stream is reset")
                self.assertEqual(OK, h.unary(RANGE, rawh2.frame(b"\n\1k"))[0], "the same connection still serves")
        self.assertEqual("OK", self.well.ask('call KV.Range key "forbidden"'), "none of them was executed")

    # etcd: gRPC frames

    def unary(self, path, body, headers=()):
        h = rawh2.H2(self.a.etcd)
        self.addCleanup(h.close)
        answer = h.unary(path, body, headers)
        # The connection lives: the next call on it works.
        self.assertEqual(OK, h.unary(RANGE, rawh2.frame(b"\n\1k"))[0], "the same connection still serves")
        return answer

    def test_grpc_frames_that_lie(self):
        message = put(b"lie")
        for name, body, statuses in (
                ("compressed", rawh2.frame(message, compressed=1), (UNIMPLEMENTED, INTERNAL)),
                ("flag 7", rawh2.frame(message, compressed=7), (INTERNAL, UNIMPLEMENTED)),
                ("longer than it is", rawh2.frame(message, length=len(message) + 1), (INTERNAL, INVALID_ARGUMENT)),
                ("shorter than it is", rawh2.frame(message, length=len(message) - 1), (INTERNAL, UNIMPLEMENTED)),
                ("4 GiB", rawh2.frame(message, length=0xffffffff), (RESOURCE_EXHAUSTED,)),
                ("no message", b"", (INTERNAL, UNIMPLEMENTED)),
                ("half a prefix", b"\0\0\0", (INTERNAL,)),
                ("two messages", rawh2.frame(message) * 2, (INTERNAL, UNIMPLEMENTED))):
            with self.subTest(name):
                status, text, data = self.unary(PUT, body)
                self.assertIn(status, statuses, text)
                self.assertTrue(text, "says why")
        self.assertEqual("OK", self.well.ask('call KV.Range key "lie"'), "none of them was executed")

    def test_declared_compression_is_refused(self):
        status, text, _ = self.unary(PUT, rawh2.frame(put(b"gz"), compressed=1), [("grpc-encoding", "gzip")])
        self.assertEqual(UNIMPLEMENTED, status, text)

    def test_requests_over_the_limit(self):
        value = b"x" * (3 << 20)
        body = b"\n\3big\x12" + bytes([0x80, 0x80, 0xc0, 0x01]) + value
        status, text, _ = self.unary(PUT, rawh2.frame(body))
        self.assertEqual(RESOURCE_EXHAUSTED, status)
        self.assertTrue(text.startswith("grpc: received message larger than max"), text)

    # etcd: protobuf

    def test_protobuf_that_does_not_parse(self):
        for name, path, body in (
                ("truncated key", PUT, b"\n\x0ak"), ("length past the end", PUT, b"\n\xff\xff\xff\xff\x0fk"),
                ("varint without end", RANGE, b"\n\1k\x18" + b"\xff" * 11), ("field number 0", PUT, b"\n\1k\0\0"),
                ("wire type 7", PUT, b"\n\1k\x0f"), ("key as a varint", PUT, b"\x08\x01"),
                ("truncated in a nested Txn", TXN, b"\x12\x08\x22\x06\x12\x04\x12\x02\n\x7f"),
                ("a length of 2^63", RANGE, b"\n" + b"\x80" * 9 + b"\x01")):
            with self.subTest(name):
                status, text, _ = self.unary(path, rawh2.frame(body))
                self.assertEqual(INTERNAL, status, text)
                self.assertTrue(text.startswith("grpc: error unmarshalling request"), text)

    def test_unknown_and_repeated_fields_survive(self):
        unknown = b"\xfa\x7f\x03abc" + b"\xf8\x7f\x05"  # fields 2047, both wire types
        self.assertEqual(OK, self.unary(PUT, rawh2.frame(put(b"unknown", b"1", unknown)))[0])
        self.assertIn('value "1"', self.well.ask('call KV.Range key "unknown"'))
        self.assertEqual(OK, self.unary(PUT, rawh2.frame(put(b"first") + put(b"second", b"2")))[0])
        self.assertEqual("OK", self.well.ask('call KV.Range key "first"'), "the last one counts")
        self.assertIn('value "2"', self.well.ask('call KV.Range key "second"'))
        keys = cases.check_stored_keys(self.etcd)
        self.assertIn(b"bh/d/a.second", keys)
        self.assertNotIn(b"bh/d/a.first", keys)

    def test_a_transaction_too_deep(self):
        for depth in (100, 190):
            text = "call KV.Txn " + "success { request_txn { " * depth + "} } " * depth
            self.assertRegex(self.well.ask(text), r'^(OK|InvalidArgument|Internal|ResourceExhausted)')

    # NATS

    def nats_says(self, data, connect='{"verbose":false,"headers":true}'):
        """Sends data and returns (what the sidecar said, does the connection live)."""
        raw = rawnats.Raw(self.a.nats, connect=connect)
        self.addCleanup(raw.close)
        try:
            raw.send(data)
            raw.send(b"PING\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        said = []
        try:
            while True:
                line = raw.next()
                if line == b"PONG":
                    return said, True
                said.append(line)
        except rawnats.Closed:
            return said, False

    def test_other_protocols_on_the_nats_port(self):
        for name, data in (("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("TLS", TLS_HELLO), ("noise", b"\xff\xfe\xfd" * 50 + b"\r\n"),
                           ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("server's verb", b"MSG foo 1 2\r\nhi\r\n")):
            for connect in (None, '{"verbose":false}'):
                with self.subTest(name, connect=connect):
                    said, lives = self.nats_says(data, connect)
                    self.assertFalse(lives)
                    self.assertRegex(b" ".join(said), rb"^-ERR '(Unknown Protocol Operation|Parser Error|[A-Z][^']+)'")

    def test_subjects_that_are_none_are_what_they_are_on_a_private_server(self):
        def told(addr, connect, data):
            raw = rawnats.Raw(addr, connect=connect)
            self.addCleanup(raw.close)
            raw.subscribe(">", sid="9")
            raw.send(data)
            raw.flush()  # none of them ends the connection
            return [line for line in raw.said if line.startswith(b"-ERR")], raw.messages
        private = self.stack.nats("private-nats")
        for pedantic in ("true", "false"):
            for line in (b"PUB foo..bar 0\r\n\r\n", b"PUB .foo 0\r\n\r\n", b"PUB foo. 0\r\n\r\n", b"PUB foo.* 0\r\n\r\n",
                         b"PUB > 0\r\n\r\n", b"PUB foo bar..x 0\r\n\r\n", b"HPUB foo.> 12 12\r\nNATS/1.0\r\n\r\n\r\n",
                         b"SUB foo..bar 1\r\n", b"SUB foo.>.bar 1\r\n", b"SUB . 1\r\n", b"SUB foo* 1\r\n"):
                with self.subTest(line, pedantic=pedantic):
                    connect = '{"verbose":false,"headers":true,"pedantic":%s}' % pedantic
                    expected = told(private.addr, connect, line)
                    self.assertEqual(expected, told(self.a.nats, connect, line))
                    if line.startswith(b"SUB foo.") or (pedantic == "true" and b"bar..x" not in line and not line.startswith(b"SUB")):
                        self.assertEqual(1, len(expected[0]), "and it is an error")
        self.ear.drain()

    def test_lines_that_do_not_parse(self):
        for data in (b"PUB foo bar baz 5\r\nhello\r\n", b"PUB foo\r\n", b"PUB foo abc\r\n", b"PUB foo -1\r\n",
                     b"PUB foo 99999999999999999999\r\n\r\n", b"PUB foo 5\r\nhello world\r\n", b"HPUB foo 50 10\r\n" + b"x" * 60 + b"\r\n",
                     b"HPUB foo 3\r\n", b"SUB foo\r\n", b"SUB a b c d\r\n", b"UNSUB\r\n", b"CONNECT {\"verbose\"\r\n", b"CONNECT []\r\n"):
            with self.subTest(data[:40]):
                said, lives = self.nats_says(data)
                self.assertFalse(lives)
                self.assertRegex(b" ".join(said), rb"^-ERR '.+'")

    def test_sizes_over_the_limit(self):
        said, lives = self.nats_says(b"PUB foo 1048577\r\n" + b"x" * 1048577 + b"\r\n")
        self.assertEqual(([b"-ERR 'Maximum Payload Violation'"], False), (said, lives))
        for data in (b"PUB " + b"a" * (1 << 20), b"x" * 5000, b"SUB " + b"a." * 2100 + b"a 1\r\n"):
            said, lives = self.nats_says(data)
            self.assertFalse(lives)
            self.assertRegex(b" ".join(said), rb"^-ERR '(Maximum Control Line Exceeded|Unknown Protocol Operation)'")

    def test_a_connection_that_only_sends_half(self):
        for addr, data in ((self.a.etcd, b"PRI * HT"), (self.a.nats, b"PUB foo 100\r\nabc"), (self.a.nats, b"CONN")):
            host, port = addr.split(":")
            with socket.create_connection((host, int(port)), real.WAIT_S) as s:
                s.sendall(data)
        # Many at once, all left half-way.
        many = [socket.create_connection((self.a.nats.split(":")[0], int(self.a.nats.split(":")[1])), real.WAIT_S) for _ in range(100)]
        for s in many:
            s.sendall(b"CONNECT {}\r\nSUB half 1\r\nPUB half 9\r\n1234")
        for s in many:
            s.close()

    def test_what_happened_is_counted(self):
        status, text = real.http_get(self.a.health, "/metrics")
        self.assertEqual(200, status)
        def total(name):
            return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
        self.assertIn("bulkhead_protocol_errors_total{", text)
        self.http1(TLS_HELLO)
        before, text = text, real.http_get(self.a.health, "/metrics")[1]
        self.assertGreater(total("bulkhead_protocol_errors_total{plane=\"etcd\""), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
