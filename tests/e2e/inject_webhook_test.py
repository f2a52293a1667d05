# SPDX-License-Identifier: Apache-2.0
"""The webhook as a program: what is no review, what is, what the network does, files that change, its end.

Malformed input, row by row, and the test that sends it (methods of Webhook below unless a file is named):

| input | test |
|---|---|
| empty body, {}, a list, request null, YAML, BOM, cut, two documents, not UTF-8, a lone NUL | test_what_is_no_review_is_400 |
| uid missing, empty, a number, of 10 kB | test_what_is_no_review_is_400 |
| v1beta1; a kind that is no AdmissionReview | test_what_is_no_review_is_400 |
| duplicated names, one of them escaped; deep nesting | test_what_is_no_review_is_400, unit/inject_json_patch_test |
| kind != Pod, a kind of another group; UPDATE, DELETE; ephemeralcontainers | test_what_is_not_a_new_pod_is_allowed_as_it_is |
| object null, a text, a list; containers missing, [], null, an object, of numbers | test_pods_that_are_none_are_denied_and_strange_ones_injected |
| env null, [], an object, of texts, without names | the same, unit/inject_test |
| annotations null, with a value that is no text; labels likewise | the same, unit/inject_test |
| generateName only; no name at all; a name with a slash | test_pods_that_are_none_are_denied_and_strange_ones_injected |
| namespace of request and object differ; none in the request | test_the_requests_namespace_is_what_counts |
| \\u0000 in what is read, and elsewhere | test_pods_that_are_none_are_denied_and_strange_ones_injected |
| chunked; no Content-Length; a charset; gzip; another type; 9 MiB declared | test_http |
| 9 MiB sent | test_nine_mebibytes_are_refused_and_the_next_is_answered, test_a_chunked_review_that_never_ends |
| two and more pipelined requests; Expect: 100-continue | test_pipelined_requests_are_answered_in_order, test_expect_is_answered_before_the_body |
| slow body | test_slow_bodies_are_given_up_and_do_not_hold_up_others |
| TLS 1.1; no SNI; a wrong one; ALPN h2 only; no ALPN; no TLS; garbage | test_tls, test_garbage_for_tls |
| client abort in the request, behind it, in the middle of the answer | test_a_client_that_goes_away_is_forgotten |

The traps of JSON patches: unit/inject_json_patch_test (the applier), unit/inject_rows.h check_shape (every patch of
every rule), inject_corpus_test and tests/more/kube/patch_test.py (against other appliers).
"""
import json
import os
import socket
import ssl
import threading
import unittest

from inject_pods import CONFIG, Injector, certificate, review
from stack import Stack, wait_until

POD = {"metadata": {"generateName": "p-", "labels": {"bulkhead.dev/inject": "true"}},
       "spec": {"containers": [{"name": "main", "image": "i"}]}}


def changed(**request):
    return json.dumps(review(POD, **request))


def without(*names):
    r = review(POD)
    for name in names:
        del r["request"][name]
    return json.dumps(r)


def pod_with(spec=None, **metadata):
    return json.dumps(review({"metadata": {**POD["metadata"], **metadata},
                              "spec": POD["spec"] if spec is None else spec}))


class Webhook(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.injector = Injector("injector", cls.stack.directory)

    @classmethod
    def tearDownClass(cls):
        try:
            cls.injector.finish()
        finally:
            cls.injector.stop()
            cls.stack.__exit__(None, None, None)

    def raw(self, data, context=None, server_hostname="localhost"):
        """Bytes over TLS; everything that comes back until the other side closes."""
        with socket.create_connection(self.injector.webhook, 30) as plain, \
                (context or self.injector.tls()).wrap_socket(plain, server_hostname=server_hostname) as s:
            s.sendall(data)
            got = b""
            try:
                while chunk := s.recv(65536):
                    got += chunk
            except (ConnectionResetError, ssl.SSLError):
                pass
            return got

    def http(self, body, *headers, end="close"):
        lines = ["POST /mutate?timeout=5s HTTP/1.1", "Host: localhost", "Content-Type: application/json",
                 f"Connection: {end}", *headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def test_what_is_no_review_is_400(self):
        deep = b'{"apiVersion":' + b"[" * 200 + b"]" * 200 + b"}"
        for name, body in {
                "empty": "", "an object": "{}", "a list": "[]", "request null": changed().replace('"request": {', '"request": null, "x": {'),
                "no uid": without("uid"), "uid a number": changed(uid=7), "uid of 10 kB": changed(uid="u" * 10240),
                "uid empty": changed(uid=""),
                "v1beta1": changed().replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1"),
                "another kind": changed().replace("AdmissionReview", "ConversionReview"),
                "duplicate names": changed().replace('"uid":', '"uid": "x", "uid":'),
                "duplicate names, one escaped": changed().replace('"uid":', '"u\\u0069d": "x", "uid":'),
                "deep": deep, "a BOM": b"\xef\xbb\xbf" + changed().encode(), "YAML": "kind: AdmissionReview\n",
                "not UTF-8": changed().replace("main", "m\u00e9").encode("latin-1"), "cut": changed()[:-3],
                "two documents": changed() + changed(), "a lone NUL": changed().encode() + b"\0"}.items():
            with self.subTest(name):
                status, text = self.injector.post(body)
                self.assertEqual((status, "AdmissionReview" in text), (400, True), text)

    def test_what_is_not_a_new_pod_is_allowed_as_it_is(self):
        for name, body in {
                "another kind": changed(kind={"group": "apps", "version": "v1", "kind": "Deployment"}),
                "a Pod of another group": changed(kind={"group": "metrics.k8s.io", "version": "v1", "kind": "Pod"}),
                "kind null": changed(kind=None), "no operation": without("operation"), "a connection": changed(operation="CONNECT"),
                "an update": changed(operation="UPDATE"), "a deletion": changed(operation="DELETE", object=None),
                "a subresource": changed(operation="UPDATE", subResource="ephemeralcontainers")}.items():
            with self.subTest(name):
                status, text = self.injector.post(body)
                r = json.loads(text)["response"]
                self.assertEqual((status, r["allowed"], "patch" in r, "patchType" in r), (200, True, False, False))

    def test_pods_that_are_none_are_denied_and_strange_ones_injected(self):
        for name, body in {
                "object null": changed(object=None), "containers missing": pod_with({}),
                "containers empty": pod_with({"containers": []}), "containers null": pod_with({"containers": None}),
                "containers an object": pod_with({"containers": {}}), "containers of numbers": pod_with({"containers": [1]}),
                "object a text": changed(object="pod"), "object a list": changed(object=[POD]), "object missing": without("object"),
                "no spec": changed(object={"metadata": POD["metadata"]}), "spec a text": pod_with("spec"),
                "env an object": pod_with({"containers": [{"name": "c", "env": {}}]}),
                "env of texts": pod_with({"containers": [{"name": "c", "env": ["A=b"]}]}),
                "a variable without a name": pod_with({"containers": [{"name": "c", "env": [{"value": "x"}]}]}),
                "a label that is no text": pod_with(labels={"bulkhead.dev/inject": True}),
                "annotations a list": pod_with(annotations=[]),
                "a NUL in a claim": pod_with(annotations={"bulkhead.dev/namespace": "a\0b"}),
                "an annotation that is no text": pod_with(annotations={"bulkhead.dev/namespace": 7})}.items():
            with self.subTest(name):
                r = json.loads(self.injector.post(body)[1])["response"]
                self.assertEqual((r["allowed"], "patch" in r), (False, False))
                self.assertGreaterEqual(r["status"]["code"], 400)
                self.assertTrue(r["status"]["message"])
        for name, body in {
                "env null": pod_with({"containers": [{"name": "c", "env": None}]}),
                "annotations null": pod_with(annotations=None), "generateName only": changed(name=""),
                "no name in the request": changed(), "no name at all": changed(object={**POD, "metadata": {"labels": POD["metadata"]["labels"]}}),
                "env empty": pod_with({"containers": [{"name": "c", "env": []}]}),
                "another namespace in the object": pod_with(namespace="lie"),
                "a name with a slash": pod_with(name="a/b"), "dry run": changed(dryRun=True),
                "a NUL elsewhere": pod_with(annotations={"x": "\0"})}.items():
            with self.subTest(name):
                r = json.loads(self.injector.post(body)[1])["response"]
                self.assertEqual((r["allowed"], r["patchType"], r["uid"]), (True, "JSONPatch", review(POD)["request"]["uid"]))

    def test_the_requests_namespace_is_what_counts(self):
        """The pod's own is its author's word; the policy is asked for the request's."""
        own = {"containers": [{"name": "c", "env": [{"name": "DYNAMO_NAMESPACE", "valueFrom": {
            "fieldRef": {"fieldPath": "metadata.namespace"}}}]}]}
        r = json.loads(self.injector.post(pod_with(own, namespace="lie"))[1])["response"]
        self.assertEqual("team-a", r["auditAnnotations"]["namespace"])
        none = json.loads(pod_with(own, namespace="lie"))
        del none["request"]["namespace"]
        r = json.loads(self.injector.post(json.dumps(none))[1])["response"]
        self.assertFalse(r["allowed"] and r["auditAnnotations"].get("namespace") == "lie", r)

    def test_nine_mebibytes_are_refused_and_the_next_is_answered(self):
        body = changed().encode() + b" " * (9 << 20)
        try:
            answer = self.raw(self.http(body, f"Content-Length: {len(body)}"))
        except OSError:  # it was closed while this end still wrote
            answer = b""
        self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 413 "), answer[:100])
        eight = changed().encode().ljust(8 << 20)
        self.assertEqual(self.injector.post(eight)[0], 200)
        self.assertEqual(self.injector.post(eight + b" ")[0], 413)

    def test_http(self):
        body = changed().encode()
        length = f"Content-Length: {len(body)}"
        for name, status, data in (
                ("chunked", 200, self.http(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked")),
                ("a charset", 200, self.http(body, length).replace(b"/json", b"/json; charset=utf-8")),
                ("no length", 411, self.http(b"")), ("gzip", 415, self.http(body, length, "Content-Encoding: gzip")),
                ("another type", 415, self.http(body, length).replace(b"application/json", b"text/plain")),
                ("9 MiB", 413, self.http(b"x", "Content-Length: 9437184")),
                ("GET", 405, b"GET /mutate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                ("another path", 404, self.http(body, length).replace(b"/mutate", b"/mut")),
                ("a long head", 431, self.http(body, length, "X: " + "y" * 9000)),
                ("length and chunks", 400, self.http(body, length, "Transfer-Encoding: chunked")),
                ("HTTP/2", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("nonsense", 400, b"\x16\x03\x01\r\n\r\n")):
            with self.subTest(name):
                answer = self.raw(data)
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer[:200])

    def test_expect_is_answered_before_the_body(self):
        body = changed().encode()
        with socket.create_connection(self.injector.webhook, 30) as plain, \
                self.injector.tls().wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(self.http(b"", f"Content-Length: {len(body)}", "Expect: 100-continue"))
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(body)
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200 "))

    def test_pipelined_requests_are_answered_in_order(self):
        data = b""
        for i in range(20):
            body = changed(uid=f"uid-{i:02}").encode()
            data += self.http(body, f"Content-Length: {len(body)}", end="close" if i == 19 else "keep-alive")
        answers = self.raw(data)
        places = [answers.find(b'"uid":"uid-%02d"' % i) for i in range(20)]
        self.assertEqual(places, sorted(places))
        self.assertGreater(places[0], 0)

    def test_slow_bodies_are_given_up_and_do_not_hold_up_others(self):
        slow = socket.create_connection(self.injector.webhook, 30)
        with slow, self.injector.tls().wrap_socket(slow, server_hostname="localhost") as s:
            s.sendall(self.http(b"{", "Content-Length: 100"))
            self.assertEqual(self.injector.post(changed())[0], 200)
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 408 "))

    def test_a_client_that_goes_away_is_forgotten(self):
        body = json.dumps(review({**POD, "metadata": {**POD["metadata"], "annotations": {"x": "y" * 1000000}}})).encode()
        for cut in (len(body) // 2, len(body)):
            plain = socket.create_connection(self.injector.webhook, 30)
            s = self.injector.tls().wrap_socket(plain, server_hostname="localhost")
            s.sendall(self.http(body, f"Content-Length: {len(body)}")[:cut])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        # In the middle of an answer: more of them than the sockets hold, of which one byte is read.
        many = [{"name": f"c{i}", "env": [{"name": "NATS_SERVER", "value": "n"}]} for i in range(100)]
        body = pod_with({"containers": many}).encode()
        plain = socket.create_connection(self.injector.webhook, 30)
        s = self.injector.tls().wrap_socket(plain, server_hostname="localhost")
        s.sendall(self.http(body, f"Content-Length: {len(body)}", end="keep-alive") * 50)
        self.assertEqual(s.recv(1), b"H")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
        self.assertEqual(self.injector.post(changed())[0], 200)
        wait_until(lambda: "\nbulkhead_injector_connections 0\n" in self.injector.get("/metrics")[1],
                   "every connection is gone")

    def test_half_closed_connections_are_answered(self):
        """TLS knows it too: a close_notify behind the request, and the socket's own half close."""
        body = changed().encode()
        data = self.http(body, f"Content-Length: {len(body)}")
        with socket.create_connection(self.injector.webhook, 30) as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.injector.tls().wrap_bio(incoming, outgoing, server_hostname="localhost")
            def step(call):
                while True:
                    try:
                        return call()
                    except ssl.SSLWantReadError:
                        plain.sendall(outgoing.read())
                        received = plain.recv(65536)
                        incoming.write(received) if received else incoming.write_eof()
            step(tls.do_handshake)
            tls.write(data)
            try:
                tls.unwrap()  # writes the close_notify
            except ssl.SSLWantReadError:
                pass
            plain.sendall(outgoing.read())
            plain.shutdown(socket.SHUT_WR)
            got = b""
            while chunk := plain.recv(65536):
                got += chunk
            self.assertGreater(len(got), 1000)  # the answer, which this end cannot read any more

    def test_garbage_for_tls(self):
        for after in (0, 1):
            plain = socket.create_connection(self.injector.webhook, 30)
            raw = plain
            if after:
                s = self.injector.tls().wrap_socket(plain, server_hostname="localhost")
                raw = socket.socket(fileno=s.detach())
            with raw:
                raw.settimeout(30)
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"g" * 4096)
                with self.assertRaises(ConnectionResetError):
                    while raw.recv(65536):
                        pass
                    raise ConnectionResetError  # an alert and an end are as good
        self.assertEqual(self.injector.post(changed())[0], 200)

    def test_a_chunked_review_that_never_ends(self):
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        answer = b""
        with socket.create_connection(self.injector.webhook, 30) as plain, \
                self.injector.tls().wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(self.http(b"", "Transfer-Encoding: chunked"))
            try:
                for _ in range(64):
                    s.sendall(piece)
            except OSError:
                pass
            try:
                answer = s.recv(100)
            except OSError:
                pass
        self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 413 "), answer)
        wait_until(lambda: "\nbulkhead_injector_connections 0\n" in self.injector.get("/metrics")[1], "it is closed")

    def test_tls(self):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(self.injector.cert)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        h2 = self.injector.tls()
        h2.set_alpn_protocols(["h2"])
        for context in (old, h2):
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                self.raw(b"x", context)
        no_name = self.injector.tls()
        no_name.check_hostname = False
        no_alpn = ssl.create_default_context(cafile=self.injector.cert)
        body = changed().encode()
        for context, name in ((no_name, None), (no_name, "elsewhere.example"), (no_alpn, "localhost"),
                              (self.injector.tls(), "inj.ns.svc")):
            answer = self.raw(self.http(body, f"Content-Length: {len(body)}"), context, name)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer[:100])
        with socket.create_connection(self.injector.webhook, 30) as s:
            s.sendall(b"POST /mutate HTTP/1.1\r\n\r\n")  # no TLS at all
            while s.recv(1000):
                pass

    def test_health_and_metrics(self):
        self.injector.post(changed())
        self.injector.post("{}")
        for path, status in (("/livez", 200), ("/readyz", 200), ("/x", 404)):
            self.assertEqual(self.injector.get(path)[0], status)
        text = self.injector.get("/metrics")[1]
        for part in ('requests_total{result="injected"}', 'requests_total{result="malformed"}',
                     "request_duration_seconds_bucket", "certificate_expiry_timestamp_seconds 1"):
            self.assertIn("bulkhead_injector_" + part, text)


class Life(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.stack.__enter__()
        self.addCleanup(self.stack.__exit__, None, None, None)

    def start(self, **kwargs):
        injector = Injector(self.stack._name("life"), self.stack.directory, **kwargs)
        self.addCleanup(injector.stop)
        return injector

    def test_a_new_certificate_is_used_and_a_broken_one_is_not(self):
        injector = self.start()
        held = injector.connect()
        self.assertEqual(injector.post(changed(), connection=held)[0], 200)
        cert, key = certificate(self.stack.directory, "next")
        with open(injector.cert, "w") as f:
            f.write("no certificate")
        wait_until(lambda: "cannot be used" in injector.log(), "the broken file is noticed")
        os.replace(key, injector.key)
        os.replace(cert, injector.cert)
        def uses_next():
            try:
                return injector.post(changed())[0] == 200
            except ssl.SSLError:
                return False
        wait_until(uses_next, "the next certificate is shown")
        self.assertEqual(injector.post(changed(), connection=held)[0], 200)  # the old connection goes on
        held.close()
        injector.finish()

    def test_a_new_configuration_is_used_and_a_broken_one_is_not(self):
        injector = self.start()
        injector.write_config({**CONFIG, "image": 7})
        wait_until(lambda: "config_last_reload_failed 1" in injector.get("/metrics")[1], "it is noticed")
        self.assertIn("patch", injector.review(POD))
        injector.write_config({**CONFIG, "policy": []})
        wait_until(lambda: not injector.review(POD)["allowed"], "the policy is used")
        self.assertIn("config_last_reload_failed 0", injector.get("/metrics")[1])
        injector.finish()

    def test_what_is_in_flight_is_answered(self):
        for drain_ms in (300, 2000, 6000):  # a busy machine may not come to it before new connections are refused
            try:
                return self.in_flight(drain_ms)
            except (ConnectionRefusedError, ConnectionResetError):
                print(f"a drain of {drain_ms} ms was over too soon", flush=True)
        self.fail("nothing new is taken while it drains")

    def in_flight(self, drain_ms):
        injector = self.start(args=("--drain-ms", str(drain_ms)))
        body = changed().encode()
        plain = socket.create_connection(injector.webhook, 30)
        s = injector.tls().wrap_socket(plain, server_hostname="localhost")
        idle = injector.connect()
        idle.connect()
        s.sendall(b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body[:100])
        injector.send_signal(15)
        wait_until(lambda: injector.get("/readyz")[0] == 503, "not ready any more")
        status, _ = injector.post(changed())  # still taken, on a connection that then ends
        self.assertEqual(status, 200)
        wait_until(lambda: _refused(injector.webhook), "no new connections")
        s.sendall(body[100:])
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in answer)
        self.assertEqual(injector.popen.wait(30), 0)

    def test_a_second_signal_ends_it_at_once(self):
        injector = self.start(args=("--drain-ms", "60000"))
        injector.send_signal(15)
        wait_until(lambda: injector.get("/readyz")[0] == 503, "draining")
        injector.send_signal(15)
        self.assertEqual(injector.popen.wait(30), 0)

    def test_a_flood_of_connections_is_refused_and_passes(self):
        injector = self.start(args=("--max-connections", "20"))
        flood = [socket.create_connection(injector.webhook, 30) for _ in range(300)]
        wait_until(lambda: "\nbulkhead_injector_connections_total 20\n" in injector.get("/metrics")[1], "all places are taken")
        self.assertEqual(injector.get("/livez")[0], 200)
        for s in flood:
            s.close()
        wait_until(lambda: "\nbulkhead_injector_connections 0\n" in injector.get("/metrics")[1], "they are gone")
        self.assertEqual(injector.post(changed())[0], 200)
        injector.finish()

    def test_connections_are_limited_and_many_are_served(self):
        injector = self.start(args=("--max-connections", "50"))
        held = [injector.connect() for _ in range(50)]
        threads = [threading.Thread(target=injector.post, args=(changed(),), kwargs={"connection": c}) for c in held]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        with self.assertRaises(OSError):
            injector.connect().connect()
        for c in held:
            self.assertEqual(injector.post(changed(), connection=c)[0], 200)
            c.close()
        injector.finish()


def _refused(address):
    try:
        socket.create_connection(address, 5).close()
    except OSError:
        return True
    return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
