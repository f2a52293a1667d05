# SPDX-License-Identifier: Apache-2.0
"""NATS by nats-py: tenants with equal subjects, groups and inboxes; and what happens to a client when
its server goes away and comes back."""

import asyncio
import unittest

import cases
import stack as real

try:
    import nats
    import nats.errors
    import nats.js.errors
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (tests/e2e/requirements.txt)")


class NatsPython(cases.Shared):
    use_etcd = False
    neighbours = ("a/child", "default")

    def sidecars(self):
        return (self.a, self.b, *self.around)

    async def connect(self, sidecar, **kwargs):
        kwargs.setdefault("allow_reconnect", False)
        client = await nats.connect(sidecar.nats_url, connect_timeout=20, **kwargs)
        self.addAsyncCleanup(client.close)
        return client

    def addAsyncCleanup(self, function):
        self.async_cleanups.append(function)

    def run_async(self, story):
        self.async_cleanups = []

        async def whole():
            try:
                await asyncio.wait_for(story(), 200)
            finally:
                for cleanup in reversed(self.async_cleanups):
                    await cleanup()
        asyncio.run(whole())

    def test_equal_subjects_and_groups(self):
        async def story():
            heard = {}
            clients = {s.namespace: await self.connect(s) for s in self.sidecars()}
            for who, c in clients.items():
                heard[who] = {"all": [], "group": []}
                async def on_all(m, who=who):
                    heard[who]["all"].append((m.subject, m.data.decode()))
                async def on_group(m, who=who):
                    heard[who]["group"].append(m.data.decode())
                await c.subscribe(">", cb=on_all)
                for _ in range(2):
                    await c.subscribe("work.*", queue="workers", cb=on_group)
                await c.flush()
            for n in range(50):
                for who, c in clients.items():
                    await c.publish("work.x", f"{who} {n}".encode())
            for who, c in clients.items():
                await c.flush()
                await c.drain()
                expected = [f"{who} {n}" for n in range(50)]
                self.assertEqual([("work.x", e) for e in expected], heard[who]["all"])
                self.assertEqual(sorted(expected), sorted(heard[who]["group"]))
        self.run_async(story)

    def test_requests_and_inboxes(self):
        async def story():
            for inbox in (b"_INBOX", b"custom.inbox"):
                clients = {}
                for s in self.sidecars():
                    clients[s.namespace] = await self.connect(s), await self.connect(s, inbox_prefix=inbox)
                for who, (server, _) in clients.items():
                    async def serve(m, who=who):
                        await m.respond(b"answer of " + who.encode() + b" to " + m.data)
                    await server.subscribe("help", cb=serve)
                    await server.flush()
                answers = await asyncio.gather(*[client.request("help", who.encode(), timeout=20)
                                                 for who, (_, client) in clients.items()])
                self.assertEqual([f"answer of {w} to {w}".encode() for w in clients], [m.data for m in answers])
                with self.assertRaises(nats.errors.NoRespondersError):
                    await clients["b"][1].request("nobody", b"", timeout=20)
        self.run_async(story)

    def test_headers_and_unsubscribe_after(self):
        async def story():
            a, b = await self.connect(self.a), await self.connect(self.b)
            sub = await a.subscribe("foo")
            await sub.unsubscribe(limit=2)
            for n in range(3):
                for c, who in ((b, "b"), (a, "a")):
                    await c.publish("foo", b"", headers={"Who": who, "N": str(n)})
                    await c.flush()
            got = [await sub.next_msg(timeout=20) for _ in range(2)]
            self.assertEqual([{"Who": "a", "N": "0"}, {"Who": "a", "N": "1"}], [m.headers for m in got])
            with self.assertRaises(Exception):
                await sub.next_msg(timeout=0.05)
        self.run_async(story)

    def test_one_mebibyte_and_more(self):
        async def story():
            a = await self.connect(self.a)
            sub = await a.subscribe("big")
            payload = bytes(range(256)) * 4096
            await a.publish("big", payload)
            self.assertEqual(payload, (await sub.next_msg(timeout=20)).data)
            with self.assertRaises(nats.errors.MaxPayloadError):
                await a.publish("big", payload + b"x")
        self.run_async(story)

    def test_a_server_without_jetstream_is_heard(self):
        async def story():
            a = await self.connect(self.a)
            with self.assertRaises(nats.js.errors.ServiceUnavailableError):
                await a.jetstream(timeout=20).add_stream(name="S", subjects=["s.>"])
            self.assertTrue(a.is_connected)
        self.run_async(story)

    def test_a_client_never_learns_other_servers(self):
        async def story():
            a = await self.connect(self.a)
            self.assertEqual([self.a.nats_url], [s.geturl() for s in a.servers])
            self.assertEqual([], a.discovered_servers)
        self.run_async(story)

    def test_a_client_survives_the_loss_of_the_shared_server(self):
        async def story():
            with real.Stack("reconnect") as stack:
                port = stack.port()
                server = stack.nats(port=port)
                sidecar = stack.sidecar("a", None, server)
                again = asyncio.Event()
                async def on_reconnect():
                    again.set()
                client = await nats.connect(sidecar.nats_url, connect_timeout=20, reconnect_time_wait=0.05, max_reconnect_attempts=-1,
                                            reconnected_cb=on_reconnect, error_cb=quiet, disconnected_cb=quiet)
                sub = await client.subscribe("foo")
                await client.flush()
                server.stop()
                stack.nats("nats-again", port=port)
                await asyncio.wait_for(again.wait(), 60)
                await client.publish("foo", b"after")
                self.assertEqual(b"after", (await sub.next_msg(timeout=20)).data)
                await client.close()
        self.run_async(story)


async def quiet(*_):
    pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
