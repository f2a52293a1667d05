# SPDX-License-Identifier: Apache-2.0
"""View subtree by clients as they are: nats.c reads a child's bucket, NATS's services library is discovered
over a subtree, and members of both views share a push consumer."""

import asyncio
import json
import unittest

import cases
import rawnats
import stack as real

try:
    import nats
    from nats import micro
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (tests/e2e/requirements.txt)")

WAIT_S = real.WAIT_S


class Clients(cases.Shared):
    use_etcd = False
    jetstream = True

    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack(cls.__name__)
        cls.addClassCleanup(cls.stack.close)
        cls.etcd = None
        cls.nats = cls.stack.nats(extra=("-js", "-sd", cls.stack.path("jetstream")))
        places = [(n, "subtree") for n in ("default", "a", "a/b", "a/b/deep", "a/c", "z")] + [("a", "own"), ("a/b", "own")]
        cls.at = {(n, v): cls.stack.sidecar(n, None, cls.nats, args=("--view", v, "--view-streams", "KV_*,OBJ_*")) for n, v in places}

    # ---- buckets, by nats.c ----

    def c_client(self, namespace, view="subtree"):
        return self.stack.nats_client(self.at[namespace, view].nats_url)

    def says(self, client, line, want):
        self.assertEqual(want, client.ask("kv " + line), line)

    def test_nats_c_reads_a_bucket_of_its_child(self):
        child = self.c_client("a/b")
        self.says(child, "make cfg", "OK")
        for line in ("put k1 one", "put k2 two", "put k1 three"):
            self.says(child, line, "OK")
        readers = [self.c_client(n) for n in ("a", "default")]
        for reader in readers:
            self.says(reader, "open cfg", "OK")
            self.says(reader, "get k1", "GOT k1=three@3")
            self.says(reader, "get k9", "ERR Not Found")
            self.says(reader, "keys", "KEYS k1 k2")
            self.says(reader, "history k1", "HISTORY k1=one@1 k1=three@3")
            self.says(reader, "watch", "OK")
            self.assertEqual({"GOT k1=three@3", "GOT k2=two@2"}, {reader.ask("kv next") for _ in range(2)})
            self.says(reader, "next", "NOTHING MORE")
        self.says(child, "put k2 again", "OK")
        for reader in readers:
            self.says(reader, "next", "GOT k2=again@4")
            self.assertRegex(reader.ask("kv put k1 stolen"), "^ERR ", "a write goes to the own namespace, where nothing takes it")
            self.says(reader, "stop", "OK")
        self.says(child, "get k1", "GOT k1=three@3")
        for stranger in ("z", "a/c", "a/b/deep"):
            self.assertRegex(self.c_client(stranger).ask("kv open cfg"), "^ERR ")
        self.assertRegex(self.c_client("a", "own").ask("kv open cfg"), "^ERR ")

    # ---- services, by nats-py's ----

    async def connect(self, place):
        client = await nats.connect(self.at[place].nats_url, connect_timeout=WAIT_S, allow_reconnect=False)
        self.clients.append(client)
        return client

    async def serve(self, place, name):
        """A service with one endpoint on an instance's subject."""
        client = await self.connect(place)

        async def answer(request):
            await request.respond(f"{place[0]} says {request.data.decode()}".encode())
        service = await micro.add_service(client, name=name, version="1.0.0", description=place[0])
        await service.add_endpoint(name="ask", subject="inst.of-0123456789abcdef", queue_group="q", handler=answer)
        return client, service

    async def fence(self, owner, service):
        await owner.request(f"$SRV.PING.{service.info().name}.{service.id}", b"", timeout=WAIT_S)
        await owner.flush()

    async def discover(self, client, subject):
        """Everybody's answer: {id: message}. Each service is asked by itself, later, by its own namespace: then
        it has answered what came before, and its answer is behind the others."""
        heard, inbox = [], client.new_inbox()

        async def hear(message):
            if message.data:  # none: 503, nobody
                heard.append(json.loads(message.data))
        sub = await client.subscribe(inbox, cb=hear)
        await client.publish(subject, b"", reply=inbox)
        await client.flush()
        await asyncio.gather(*(self.fence(*s) for s in self.services))
        await client.flush()
        await sub.unsubscribe()
        found = {answer["id"]: answer for answer in heard}
        self.assertEqual(len(found), len(heard), "once each")
        return found

    async def discovery(self):
        where = [(("a/b", "subtree"), "echo"), (("a/b", "own"), "echo"), (("a/c", "subtree"), "echo"), (("a", "subtree"), "echo"),
                 (("z", "subtree"), "echo"), (("a/b/deep", "subtree"), "only-deep")]
        self.services = [await self.serve(*w) for w in where]
        for place, below in ((("default", "subtree"), lambda n: True), (("a", "subtree"), lambda n: n.startswith("a")),
                             (("a", "own"), lambda n: n == "a"), (("a/b", "subtree"), lambda n: n.startswith("a/b")),
                             (("a/b", "own"), lambda n: n == "a/b"), (("z", "subtree"), lambda n: n == "z")):
            client = await self.connect(place)
            for verb in ("PING", "INFO", "STATS"):
                for name in (None, "echo", "only-deep", "nobody") if verb == "PING" else (None,):
                    want = {s.id: s for (p, n), (_, s) in zip(where, self.services) if below(p[0]) and name in (None, n)}
                    heard = await self.discover(client, f"$SRV.{verb}" + (f".{name}" if name else ""))
                    self.assertEqual(set(want), set(heard), f"{place}: {verb} {name}")
                    for number, answer in heard.items():
                        self.assertEqual((f"io.nats.micro.v1.{verb.lower()}_response", want[number].info().name),
                                         (answer["type"], answer["name"]))
                        if verb == "INFO":
                            self.assertEqual(["inst.of-0123456789abcdef"], [e["subject"] for e in answer["endpoints"]])
            for (p, n), (_, service) in zip(where, self.services):
                heard = await self.discover(client, f"$SRV.PING.{n}.{service.id}")
                self.assertEqual({service.id} if below(p[0]) else set(), set(heard), f"{place}: one of {p}")
            answer = await client.request("inst.of-0123456789abcdef", b"hello", timeout=WAIT_S)
            who = answer.data.decode().removesuffix(" says hello")
            self.assertTrue(below(who), f"{place} is served by {who}")

    def run_async(self, story):
        async def whole():
            self.clients, self.services = [], []
            try:
                await asyncio.wait_for(story(), 200)
                for _, service in self.services:
                    await service.stop()
            finally:
                for client in self.clients:
                    await client.close()
        asyncio.run(whole())

    def test_services_are_discovered_over_a_subtree(self):
        self.run_async(self.discovery)

    # ---- a push consumer that members of both views hear ----

    def raw(self, place):
        connection = rawnats.Raw(self.at[place].nats)
        self.addCleanup(connection.close)
        return connection

    def api(self, client, verb, body, inbox="_INBOX.api"):
        client.publish("$JS.API." + verb, json.dumps(body), reply=inbox)
        while True:
            m = client.next()
            if not isinstance(m, bytes) and m.subject == inbox:
                return json.loads(m.payload)

    def hear(self, client, want):
        got = []
        while len(got) < want:
            m = client.next()
            if not isinstance(m, bytes) and m.payload.startswith(b"job"):
                got.append((m.subject, m.sid, m.payload))
        return got

    def test_a_push_consumer_of_view_subtree_is_heard_by_view_own(self):
        maker, own, child = self.raw(("a/b", "subtree")), self.raw(("a/b", "own")), self.raw(("a/b/deep", "subtree"))
        for client in (maker, own, child):
            client.subscribe("_INBOX.api", sid="api")
        made = self.api(maker, "STREAM.CREATE.JOBS", {"name": "JOBS", "subjects": ["jobs"], "storage": "memory", "retention": "limits"})
        self.assertNotIn("error", made)
        # Nobody but the member with view own listens: interest is its alone.
        own.subscribe("_INBOX.jobs", sid="jobs")
        child.subscribe("_INBOX.jobs", sid="jobs")
        made = self.api(maker, "CONSUMER.CREATE.JOBS", {"stream_name": "JOBS", "config": {
            "deliver_subject": "_INBOX.jobs", "ack_policy": "none", "deliver_policy": "all"}})
        self.assertNotIn("error", made)
        for i in range(3):
            maker.publish("jobs", f"job {i}")
        maker.flush()
        self.assertEqual([("jobs", "jobs", b"job %d" % i) for i in range(3)], self.hear(own, 3))
        # Both listen now: each hears all of it once, and a child nothing.
        maker.subscribe("_INBOX.jobs", sid="mine")
        maker.publish("jobs", "job 3")
        self.assertEqual([("jobs", "mine", b"job 3")], self.hear(maker, 1))
        self.assertEqual([("jobs", "jobs", b"job 3")], self.hear(own, 1))
        for client in (maker, own):
            del client.messages[:]
            self.assertEqual([], client.drain(), "nothing twice")
        self.assertEqual([], [m for m in child.drain() if m.payload.startswith(b"job")])

    def test_a_push_consumer_of_view_own_is_heard_by_view_subtree(self):
        maker, other, child = self.raw(("a/b", "own")), self.raw(("a/b", "subtree")), self.raw(("a/b/deep", "subtree"))
        for client in (maker, other, child):
            client.subscribe("_INBOX.api", sid="api")
        made = self.api(maker, "STREAM.CREATE.TASKS", {"name": "TASKS", "subjects": ["tasks"], "storage": "memory", "retention": "limits"})
        self.assertNotIn("error", made)
        # Nobody with view own listens literally; a wildcard there hears what wakes for somebody.
        maker.subscribe("_INBOX.*", sid="star")
        maker.subscribe(">", sid="all")
        other.subscribe("_INBOX.tasks", sid="tasks")
        child.subscribe("_INBOX.tasks", sid="tasks")
        made = self.api(maker, "CONSUMER.CREATE.TASKS", {"stream_name": "TASKS", "config": {
            "deliver_subject": "_INBOX.tasks", "ack_policy": "none", "deliver_policy": "all"}})
        self.assertNotIn("error", made)
        self.assertEqual("_INBOX.tasks", made["config"]["deliver_subject"])
        other.publish("tasks", "job 0")
        self.assertEqual([("tasks", "tasks", b"job 0")], self.hear(other, 1))
        # Stream and consumer: `>` hears the publish and the delivery, `_INBOX.*` the delivery.
        self.assertEqual(["all", "all", "star"], sorted(sid for _, sid, _ in self.hear(maker, 3)))
        self.assertEqual([], [m for m in child.drain() if m.payload.startswith(b"job")])

    def test_a_push_consumer_with_a_queue_group_is_shared_by_both_views(self):
        maker, own = self.raw(("a", "subtree")), self.raw(("a", "own"))
        for client in (maker, own):
            client.subscribe("_INBOX.api", sid="api")
            client.subscribe("_INBOX.shared", sid="s", group="workers")
        made = self.api(maker, "STREAM.CREATE.SHARED", {"name": "SHARED", "subjects": ["shared"], "storage": "memory", "retention": "limits"})
        self.assertNotIn("error", made)
        made = self.api(maker, "CONSUMER.CREATE.SHARED", {"stream_name": "SHARED", "config": {
            "deliver_subject": "_INBOX.shared", "deliver_group": "workers", "ack_policy": "none", "deliver_policy": "all"}})
        self.assertNotIn("error", made)
        for i in range(60):
            maker.publish("shared", f"job {i:02}")
        maker.flush()
        heard = {maker: [], own: []}

        def all_heard():
            for client in heard:
                heard[client] += [m.payload for m in client.drain() if m.payload.startswith(b"job")]
            return sum(map(len, heard.values())) >= 60
        real.wait_until(all_heard, "all is delivered")
        self.assertEqual([b"job %02d" % i for i in range(60)], sorted(heard[maker] + heard[own]))
        self.assertTrue(heard[maker] and heard[own], "both members of the group work")


if __name__ == "__main__":
    unittest.main(verbosity=2)
