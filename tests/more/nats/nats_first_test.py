# SPDX-License-Identifier: Apache-2.0
"""Servers that shake hands before they speak (tls: handshake_first, from 2.10.4 on): `--nats-tls first` works
with them, for applications of every kind; without it the sidecar says what to do."""

import json
import os
import subprocess
import unittest

import rawnats
import stack as real

SERVERS = {v: os.path.join(os.environ["MORE"], "nats", "server-" + v, "nats-server") for v in ("2.10", "2.11", "2.12", "2.15")}
MUTE = '{"verbose":false,"headers":true,"no_responders":true,"echo":false}'


def certificates(directory):
    """ca.pem, and server.pem with server.key for 127.0.0.1."""
    run = lambda line: subprocess.run(line, shell=True, cwd=directory, check=True, capture_output=True)
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca")
    run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=server")
    run("echo subjectAltName=IP:127.0.0.1 >server.ext && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
        "-days 2 -extfile server.ext -out server.pem")


class HandshakeFirst(unittest.TestCase):
    def ask(self, sidecar, connect, verb, body=None):
        c = rawnats.Raw(sidecar.nats, connect)
        self.addCleanup(c.close)
        c.subscribe("_INBOX.me", "1")
        c.publish("$JS.API." + verb, b"" if body is None else json.dumps(body).encode(), "_INBOX.me")
        while not isinstance(m := c.next(), rawnats.Message):
            pass
        return json.loads(m.payload)

    def run_on(self, server):
        os.environ["E2E_NATS_SERVER"] = server
        with real.Stack("first", unheard="a monitor that speaks TLS first is not worth it") as stack:
            certificates(stack.directory)
            config = stack.path("server.conf")
            with open(config, "w") as f:
                f.write('tls { cert_file: "server.pem", key_file: "server.key", handshake_first: true }\n'
                        'authorization { user: u, password: p }\n')
            bus = stack.nats(extra=("-c", config, "-js", "-sd", stack.path("js")))
            addr = bus.addr.split("//")[-1]
            first = ("--nats-tls", "first", "--nats-ca", stack.path("ca.pem"), "--nats-user", "u")
            secret = {"BULKHEAD_NATS_PASSWORD": "p"}
            a, b = (stack.sidecar(n, nats="tls://" + addr, args=first, env=secret) for n in ("a", "b"))
            real.wait_until(lambda: real.http_get(a.health, "/readyz")[0] == 200, "the sidecar is ready")
            for s in (a, b):
                for connect in ('{"verbose":false,"headers":true,"no_responders":true}', MUTE):
                    made = self.ask(s, connect, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"], "storage": "memory"})
                    self.assertEqual("S", made["config"]["name"])
                    self.assertEqual(["S"], self.ask(s, connect, "STREAM.NAMES")["streams"])
            clients = [rawnats.Raw(s.nats) for s in (a, a, b)]
            for c in clients:
                self.addCleanup(c.close)
                self.assertFalse([name for name in c.info if name.startswith("tls")], c.info)
            for c in clients[1:]:
                c.subscribe("big")
            payload = bytes(range(256)) * 2048
            clients[0].publish("big", payload)
            clients[0].flush()
            while not isinstance(m := clients[1].next(), rawnats.Message):
                pass
            self.assertEqual(payload, m.payload)
            self.assertEqual([], clients[2].drain())
            # Told to wait for an INFO that never comes: nobody is left waiting.
            late = stack.sidecar("a", nats="tls://" + addr, env=secret,
                                 args=("--nats-ca", stack.path("ca.pem"), "--nats-user", "u"))
            self.assertNotEqual(200, real.http_get(late.health, "/readyz")[0])
            with self.assertRaises((rawnats.Closed, AssertionError)):
                rawnats.Raw(late.nats).flush()
            self.assertIn("--nats-tls first", late.log())


for label, path in SERVERS.items():
    setattr(HandshakeFirst, "test_on_nats_server_" + label.replace(".", "_"), lambda self, path=path: self.run_on(path))

if __name__ == "__main__":
    unittest.main(verbosity=2)
