# SPDX-License-Identifier: Apache-2.0
"""Upstreams that are down, speak another protocol, close in the middle of a frame or say what does not
parse: the application gets a clear error, the other plane and the sidecar go on."""

import socket
import struct
import unittest

import cases
import rawh2
import rawnats
import stack as real

HTTP2_SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def http2(after_request):
    """An HTTP/2 server that accepts anything and answers the first HEADERS with these bytes."""
    def handle(s):
        s.sendall(HTTP2_SETTINGS)
        seen = b""
        while b"/etcdserverpb" not in seen and len(seen) < 1 << 16:
            data = s.recv(4096)
            if not data:
                return
            seen += data
            if seen.count(b"\x01\x04\0\0\0") or len(seen) > 200:
                break
        s.sendall(after_request)
    return handle


def say_and_close(data, read_first=True):
    def handle(s):
        if read_first:
            s.recv(4096)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass
    return handle


def say_and_stay(data):
    def handle(s):
        s.sendall(data)
        while s.recv(4096):
            pass
    return handle


INFO = (b'INFO {"server_id":"X","version":"2.9.10","proto":1,"host":"0.0.0.0","port":4222,"headers":true,'
        b'"max_payload":1048576,"connect_urls":["10.0.0.1:4222","10.0.0.2:4222"],"client_ip":"10.9.9.9"}\r\n')


class BadUp(unittest.TestCase):
    def setUp(self):
        self.stack = real.Stack("bad-up")
        self.addCleanup(self.stack.close)
        self.etcd, self.nats = self.stack.etcd(), self.stack.nats()

    def fake(self, handle):
        server = rawh2.Fake(handle)
        self.addCleanup(server.close)
        return server

    def nats_works(self, sidecar):
        c = rawnats.Raw(sidecar.nats)
        c.subscribe("foo")
        c.publish("foo", "hi")
        self.assertEqual([b"hi"], [m.payload for m in c.drain()])
        c.close()

    def etcd_works(self, sidecar):
        done = real.etcdctl(sidecar.etcd_url, "put", "k", "v")
        self.assertEqual("OK\n", done.stdout, done.stderr)

    # etcd

    def test_etcd_down_at_start_and_back(self):
        port = self.stack.port()
        sidecar = self.stack.sidecar("a", f"http://127.0.0.1:{port}", self.nats)
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask("deadline 300")
        self.assertRegex(client.ask('call KV.Range key "k"'), "^(Unavailable|DeadlineExceeded) ")
        client.ask("deadline 0")
        client.tell('call KV.Put key "k" value "waited"')
        self.nats_works(sidecar)
        self.stack.etcd("late-etcd", port=port)
        answer = client.answer()
        if answer != "OK":  # a call may also be refused while it waits, in the words that clients retry
            self.assertEqual('Unavailable "there is no connection available"', answer)
            real.wait_until(lambda: client.ask('call KV.Put key "k" value "again"') == "OK", "etcd is reached")
        self.assertIn("count 1", client.ask('call KV.Range key "k"'))

    def test_etcd_lost_and_back(self):
        port = self.stack.port()
        etcd = self.stack.etcd("first-etcd", port=port)
        sidecar = self.stack.sidecar("a", etcd, self.nats)
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask("open w Watch.Watch")
        client.ask('send w create_request { key "k" }')
        client.ask("recv w")
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "1"'))
        self.assertIn('value "1"', client.ask("recv w"))
        etcd.stop()
        client.ask("deadline 300")
        self.assertRegex(client.ask('call KV.Range key "k"'), "^(Unavailable|DeadlineExceeded) ")
        self.nats_works(sidecar)
        self.stack.etcd("second-etcd", port=port, data=etcd.data)
        client.ask("deadline 30000")
        real.wait_until(lambda: "count 1" in client.ask('call KV.Range key "k"'), "etcd is reached again")
        # The watch has waited, and goes on (design.md 4.6).
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "2"'))
        self.assertRegex(client.ask("recv w"), r'^GOT events { kv { key "k" .*version 2 value "2" } }$')
        client.ask("cancel w")
        self.assertRegex(client.ask("status w"), "^Canceled")

    def test_etcd_that_is_none(self):
        headers = b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"  # HEADERS of stream 1: ":status 200"
        for name, handle in (
                ("HTTP/1", say_and_close(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
                ("NATS", say_and_stay(INFO)), ("noise", say_and_close(bytes(range(256)) * 4)), ("silence", say_and_stay(b"")),
                ("closes at once", lambda s: None), ("closes after a request", http2(b"")),
                ("half a frame header", http2(b"\x00\x00\x20")), ("half a HEADERS frame", http2(headers[:-1] + b"\x88"[:0])),
                ("half a DATA frame", http2(headers + b"\x00\x00\x40\x00\x00\x00\x00\x00\x01\0\0\0\0\x30half")),
                ("not gRPC", http2(headers + b"\x00\x00\x04\x00\x01\x00\x00\x00\x01oops")),
                ("a message of 4 GiB", http2(headers + b"\x00\x00\x05\x00\x00\x00\x00\x00\x01\0\xff\xff\xff\xff")),
                ("GOAWAY", http2(struct.pack(">BHBBI", 0, 8, 7, 0, 0) + struct.pack(">II", 0, 2)))):
            with self.subTest(name):
                server = self.fake(handle)
                sidecar = self.stack.sidecar("a", "http://" + server.addr, self.nats)
                client = self.stack.etcd_client(sidecar.etcd)
                client.ask("deadline 400")
                for _ in range(2):
                    self.assertRegex(client.ask('call KV.Range key "k"'), '^(Unavailable|DeadlineExceeded|Internal) ".+"')
                self.nats_works(sidecar)
                self.assertEqual(0, sidecar.stop())
                sidecar.check_clean()

    # NATS

    def raw_end(self, sidecar):
        """What a NATS client is told until its connection ends."""
        host, port = sidecar.nats.split(":")
        with socket.create_connection((host, int(port)), real.WAIT_S) as s:
            told = b""
            try:
                s.sendall(b'CONNECT {"verbose":false}\r\nSUB foo 1\r\nPING\r\n')
                while data := s.recv(4096):
                    told += data
            except (BrokenPipeError, ConnectionResetError):
                pass
            return told

    def test_nats_down(self):
        port = self.stack.port()
        sidecar = self.stack.sidecar("a", self.etcd, f"nats://127.0.0.1:{port}")
        self.raw_end(sidecar)  # ends
        self.etcd_works(sidecar)
        self.stack.nats("late-nats", port=port)
        def works():
            try:
                self.nats_works(sidecar)
                return True
            except (rawnats.Closed, OSError):
                return False
        real.wait_until(works, "NATS is reached")

    def test_nats_lost_closes_at_once(self):
        nats = self.stack.nats("mortal-nats")
        sidecar = self.stack.sidecar("a", self.etcd, nats)
        c = rawnats.Raw(sidecar.nats)
        c.subscribe("foo")
        nats.stop()
        c.until_closed()
        c.close()
        self.etcd_works(sidecar)

    def test_nats_that_is_none(self):
        for name, handle in (("HTTP/1", say_and_close(b"HTTP/1.1 400 Bad Request\r\n\r\n", False)), ("HTTP/2", say_and_close(HTTP2_SETTINGS, False)),
                             ("noise", say_and_close(b"\xff" * 100 + b"\r\n", False)), ("closes at once", lambda s: None),
                             ("no end of line", say_and_close(b"INFO {" + b"x" * 200_000, False)), ("INFO that is no JSON", say_and_close(b"INFO oops\r\n", False)),
                             ("half an INFO", say_and_close(INFO[:40], False)), ("half a MSG", say_and_close(INFO + b"MSG bh.e.a.~.~.~.foo 1 10\r\nhal", False)),
                             ("a MSG without end", say_and_close(INFO + b"MSG bh.e.a.~.~.~.foo 1 2\r\nhi there\r\n", False)),
                             ("a negative size", say_and_close(INFO + b"MSG bh.e.a.~.~.~.foo 1 -2\r\nhi\r\n", False)),
                             ("unknown verb", say_and_close(INFO + b"HELLO\r\n", False))):
            with self.subTest(name):
                server = self.fake(handle)
                sidecar = self.stack.sidecar("a", self.etcd, "nats://" + server.addr)
                told = self.raw_end(sidecar)
                for secret in (b"10.0.0.", b"10.9.9.9", b"bh.e"):
                    self.assertNotIn(secret, told)
                self.etcd_works(sidecar)
                self.assertEqual(0, sidecar.stop())
                sidecar.check_clean()

    def test_messages_from_outside_the_slice_are_dropped_and_counted(self):
        """What a correct server never sends: another namespace's subject, a plain one, an unknown sid."""
        foreign = (b"MSG bh.e.b.~.~.~.foo e1 6\r\nsecret\r\n" b"MSG foo e1 6\r\nsecret\r\n" b"MSG bh.e.a.~.~.foo e1 6\r\nsecret\r\n"
                   b"HMSG bh.e.ab.~.~.~.foo e1 12 18\r\nNATS/1.0\r\n\r\nsecret\r\n")
        def handle(s):
            s.sendall(INFO)
            seen = b""
            while b"SUB " not in seen.upper() or not seen.endswith(b"\r\n"):
                seen += s.recv(4096)
            sid = seen.split(b"SUB ")[1].split(b"\r\n")[0].split()[-1]
            s.sendall(foreign.replace(b" e1 ", b" " + sid + b" ") + b"MSG bh.e.a.~.~.~.foo " + sid + b" 3\r\nown\r\n")
            while data := s.recv(4096):
                if b"PING" in data:
                    s.sendall(b"PONG\r\n")
        server = self.fake(handle)
        sidecar = self.stack.sidecar("a", None, "nats://" + server.addr)
        c = rawnats.Raw(sidecar.nats)
        c.send(b"SUB foo 1\r\n")
        m = c.next()
        self.assertEqual(("foo", "1", b"own"), (m.subject, m.sid, m.payload))
        c.close()
        text = real.http_get(sidecar.health, "/metrics")[1]
        self.assertRegex(text, r'(?m)^bulkhead_foreign_total\{plane="nats",what="subject"\} [1-9]')


if __name__ == "__main__":
    unittest.main(verbosity=2)
