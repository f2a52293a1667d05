# SPDX-License-Identifier: Apache-2.0
"""Many connections, a reader that stops, a server that goes: what is the server's to decide stays so."""

import json
import resource
import signal
import unittest

import rawnats
import stack as real

MANY = 5000
SLOW = """
max_pending: 4194304
write_deadline: "2s"
lame_duck_grace_period: "10s"
lame_duck_duration: "60s"
"""


class NatsMany(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack(cls.__name__)
        cls.addClassCleanup(cls.stack.close)
        config = cls.stack.path("slow.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(SLOW)
        cls.server = cls.stack.nats("slow", extra=("-c", config))
        cls.a, cls.b = (cls.stack.sidecar(n, None, cls.server) for n in "ab")

    def raw(self, addr, **kwargs):
        connection = rawnats.Raw(addr, **kwargs)
        self.addCleanup(connection.close)
        return connection

    def test_five_thousand_connections_on_one_sidecar(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        need = 2 * MANY + 200  # the sidecar has two sockets for each
        if hard != resource.RLIM_INFINITY and hard < need:
            self.skipTest(f"{hard} files may be open, {need} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
        clients = []
        for i in range(MANY):
            client = self.raw(self.a.nats)
            client.send(f"SUB all 1\r\nSUB own.{i} 2\r\nPING\r\n")
            clients.append(client)
        for client in clients:
            client.until(b"PONG")
        clients[0].publish("all", "x")
        clients[0].flush()
        for i in range(0, MANY, 50):
            clients[-1].publish(f"own.{i}", str(i))
        for i, client in enumerate(clients):
            want = ["all"] + [f"own.{i}"] * (i % 50 == 0)
            while len(client.messages) < len(want):
                client.next()
            self.assertEqual(want, [m.subject for m in client.messages])
        self.assertIn("bulkhead", self.a.argv[0])
        self.assertTrue(self.a.running())

    def test_a_reader_that_stops_is_the_servers_slow_consumer_and_disturbs_nobody(self):
        stopped = self.raw(self.a.nats)
        own, other = self.raw(self.a.nats), self.raw(self.b.nats)
        stopped.subscribe("flood")
        for reader in (own, other):
            reader.subscribe("flood")
        publisher, elsewhere = self.raw(self.a.nats), self.raw(self.b.nats)
        payload, rounds, each = b"x" * 65536, 64, 16  # 64 MiB: more than all buffers between the two ends
        for _ in range(rounds):
            for _ in range(each):
                publisher.publish("flood", payload)
            elsewhere.publish("flood", "b")
            publisher.flush()
            elsewhere.flush()
            self.assertEqual(each, len(own.drain()))
            self.assertEqual([b"b"], [m.payload for m in other.drain()])
        stopped.until_closed()
        self.assertLess(len(stopped.messages), rounds * each, "the server gave it up")
        self.assertTrue(all(m.payload == payload for m in stopped.messages), "what it heard was whole")
        self.assertIn("Slow Consumer", self.server.log())

    def test_the_server_that_goes_says_so(self):
        client = self.raw(self.a.nats, connect='{"verbose":false,"protocol":1}')
        client.flush()
        # A server that goes does not hear SIGTERM until all is over.
        self.addClassCleanup(self.server.stop, signal.SIGINT)
        self.server.popen.send_signal(signal.SIGUSR2)
        info = {}
        while not info.get("ldm"):  # from 2.12 on an INFO follows CONNECT, too
            line = client.next()
            self.assertTrue(line.startswith(b"INFO "), line)
            info = json.loads(line[5:])
        self.assertIs(True, info["ldm"])
        self.assertNotIn("connect_urls", info)
        self.assertEqual(self.a.nats, f'{info["host"]}:{info["port"]}')
        client.flush()


if __name__ == "__main__":
    unittest.main()
