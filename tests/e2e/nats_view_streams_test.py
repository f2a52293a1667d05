# SPDX-License-Identifier: Apache-2.0
"""view.streams: a parent reads its descendants' streams, buckets and objects by nats-py and nats.c,
changes nothing, and is told the truth when a holder goes."""

import asyncio
import json
import unittest

import cases
import stack as real

try:
    import nats
    import nats.errors
    import nats.js.errors
    from nats.js import api
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (tests/e2e/requirements.txt)")

LISTED = ("--view-streams", "OBJ_*,*-kv-events,KV_*,SHARED*")


class ViewStreams(cases.Shared):
    use_etcd = False
    jetstream = True

    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack(cls.__name__)
        cls.addClassCleanup(cls.stack.close)
        cls.nats = cls.stack.nats(extra=("-js", "-sd", cls.stack.path("jetstream")))
        names = ("default", "a", "a/b", "a/b/deep", "a/c", "z")
        cls.at = {n: cls.stack.sidecar(n, None, cls.nats, args=("--view", "subtree", *LISTED)) for n in names}
        cls.etcd = None
        cls.own = cls.stack.sidecar("a", None, cls.nats, args=("--view", "own", *LISTED))

    def run_async(self, story):
        async def whole():
            self.clients = []
            try:
                raw = await self.connect(self.nats.url)
                for name in (await self.api(raw, "STREAM.NAMES"))["streams"] or []:
                    await self.api(raw, "STREAM.DELETE." + name)
                await asyncio.wait_for(story(), 240)
            finally:
                for client in self.clients:
                    await client.close()
        asyncio.run(whole())

    async def connect(self, url, **kwargs):
        client = await nats.connect(url, connect_timeout=20, allow_reconnect=False, **kwargs)
        self.clients.append(client)
        return client

    async def js(self, namespace):
        client = await self.connect(self.at[namespace].nats_url)
        return client, client.jetstream(timeout=20)

    async def api(self, client, subject, body=None):
        reply = await client.request("$JS.API." + subject, json.dumps(body).encode() if body else b"", timeout=20)
        return json.loads(reply.data)

    def err(self, answer):
        return answer.get("error", {}).get("err_code")

    def metric(self, namespace, name):
        for line in real.http_get(self.at[namespace].health, "/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
        raise AssertionError(name)

    def test_a_parent_reads_objects_of_its_child(self):
        async def story():
            _, child = await self.js("a/b")
            store = await child.create_object_store("tiny")
            big = bytes(i * 7 % 251 for i in range(300000))
            await store.put("card.json", b"{\"model\":1}")
            await store.put("weights", big)
            for reader in ("a", "default"):
                client, js = await self.js(reader)
                seen = await js.object_store("tiny")
                self.assertEqual(b"{\"model\":1}", (await seen.get("card.json")).data)
                self.assertEqual(big, (await seen.get("weights")).data)
                self.assertEqual("OBJ_tiny", (await js.stream_info("OBJ_tiny")).config.name)
                for entry in await seen.list():
                    self.assertIn(entry.name, ("card.json", "weights"))
                # Nothing else can be done to it.
                self.assertEqual(10059, self.err(await self.api(client, "STREAM.PURGE.OBJ_tiny")))
                self.assertEqual(10059, self.err(await self.api(client, "STREAM.DELETE.OBJ_tiny")))
                self.assertEqual(10059, self.err(await self.api(client, "STREAM.MSG.DELETE.OBJ_tiny", {"seq": 1})))
                self.assertEqual(10059, self.err(await self.api(client, "STREAM.UPDATE.OBJ_tiny", {"name": "OBJ_tiny"})))
                self.assertEqual(10059, self.err(await self.api(client, "CONSUMER.NAMES.OBJ_tiny")))
                self.assertIsNone((await self.api(client, "STREAM.NAMES"))["streams"] or None)
            self.assertEqual(big, (await store.get("weights")).data)
            for stranger in ("z", "a/c", "a/b/deep"):
                _, js = await self.js(stranger)
                with self.assertRaises(nats.js.errors.NotFoundError):
                    await js.stream_info("OBJ_tiny")
            own = await self.connect(self.own.nats_url)
            self.assertEqual(10059, self.err(await self.api(own, "STREAM.INFO.OBJ_tiny")))
        self.run_async(story)

    def test_a_parent_reads_and_watches_a_bucket_of_its_child(self):
        async def story():
            _, child = await self.js("a/b")
            bucket = await child.create_key_value(bucket="cfg", history=5)
            for i in range(5):
                await bucket.put(f"k{i}", str(i).encode())
            client, js = await self.js("a")
            seen = await js.key_value("cfg")
            self.assertEqual(b"3", (await seen.get("k3")).value)
            self.assertEqual({f"k{i}" for i in range(5)}, set(await seen.keys()))
            watcher = await seen.watchall()
            heard = [(await watcher.updates(timeout=20)) for _ in range(6)]
            self.assertIsNone(heard[-1])
            await bucket.put("k9", b"new")
            self.assertEqual(("k9", b"new"), (lambda e: (e.key, e.value))(await watcher.updates(timeout=20)))
            await watcher.stop()
            # A write goes to the own namespace, where no stream takes it.
            with self.assertRaises((nats.js.errors.NoStreamResponseError, nats.errors.NoRespondersError, nats.errors.TimeoutError)):
                await js.publish("$KV.cfg.k1", b"x", timeout=20)
            self.assertEqual(b"1", (await bucket.get("k1")).value)
        self.run_async(story)

    def test_a_consumer_is_the_readers_and_is_hidden_from_the_child(self):
        async def story():
            child_client, child = await self.js("a/b")
            await child.add_stream(name="x-kv-events", subjects=["x.queue"])
            for i in range(10):
                await child.publish("x.queue", str(i).encode())
            await child.add_consumer("x-kv-events", durable_name="D", ack_policy="explicit")
            parent_client, parent = await self.js("a")
            sub = await parent.pull_subscribe("x.queue", durable="D", stream="x-kv-events")
            messages = await sub.fetch(10, timeout=20)
            self.assertEqual([str(i).encode() for i in range(10)], [m.data for m in messages])
            for m in messages:
                self.assertEqual(("x-kv-events", "D"), (m.metadata.stream, m.metadata.consumer))
                self.assertEqual("x.queue", m.subject)
                await m.ack_sync(timeout=20)
            info = await parent.consumer_info("x-kv-events", "D")
            self.assertEqual((0, 0, "D"), (info.num_pending, info.num_ack_pending, info.name))
            # The child's D has seen nothing of it.
            info = await child.consumer_info("x-kv-events", "D")
            self.assertEqual((10, 0), (info.num_pending, info.num_ack_pending))
            answer = await self.api(child_client, "CONSUMER.NAMES.x-kv-events")
            self.assertEqual((["D"], 1), (answer["consumers"], answer["total"]))
            answer = await self.api(child_client, "CONSUMER.LIST.x-kv-events")
            self.assertEqual((["D"], 1), ([c["name"] for c in answer["consumers"]], answer["total"]))
            # Nor can it name it.
            for reserved in ("~~a~~D", "~~a~~other"):
                self.assertEqual(10014, self.err(await self.api(child_client, f"CONSUMER.INFO.x-kv-events.{reserved}")))
                self.assertEqual(10014, self.err(await self.api(child_client, f"CONSUMER.DELETE.x-kv-events.{reserved}")))
                made = await self.api(child_client, f"CONSUMER.DURABLE.CREATE.x-kv-events.{reserved}", {
                    "stream_name": "x-kv-events", "config": {"durable_name": reserved, "ack_policy": "explicit"}})
                self.assertEqual(10052, self.err(made))
            # The root's is another one still, and an ephemeral gets a name of the reader's.
            root_client, root = await self.js("default")
            made = await self.api(root_client, "CONSUMER.CREATE.x-kv-events", {
                "stream_name": "x-kv-events", "config": {"ack_policy": "none", "deliver_policy": "all"}})
            self.assertNotIn("~", made["name"])
            self.assertEqual("x-kv-events", made["stream_name"])
            raw = await self.connect(self.nats.url)
            names = (await self.api(raw, "CONSUMER.NAMES.a~b~~x-kv-events"))["consumers"]
            self.assertEqual({"D", "~~a~~D", "~~~" + made["name"]}, set(names))
            self.assertTrue(await root.delete_consumer("x-kv-events", made["name"]))
            self.assertTrue(await parent.delete_consumer("x-kv-events", "D"))
            self.assertEqual(["D"], (await self.api(raw, "CONSUMER.NAMES.a~b~~x-kv-events"))["consumers"])
        self.run_async(story)

    def test_push_consumers_deliver_to_the_reader(self):
        async def story():
            _, child = await self.js("a/b")
            await child.add_stream(name="SHARED", subjects=["s.*"])
            for i in range(20):
                await child.publish(f"s.{i % 2}", str(i).encode())
            for reader in ("a", "default"):
                _, js = await self.js(reader)
                sub = await js.subscribe("s.1", stream="SHARED", ordered_consumer=True)
                self.assertEqual([str(i).encode() for i in range(20) if i % 2],
                                 [(await sub.next_msg(timeout=20)).data for _ in range(10)])
                await sub.unsubscribe()
                sub = await js.subscribe("s.*", stream="SHARED", config=api.ConsumerConfig(flow_control=True, idle_heartbeat=5))
                got = [await sub.next_msg(timeout=20) for _ in range(20)]
                self.assertEqual([f"s.{i % 2}" for i in range(20)], [m.subject for m in got])
                for m in got:
                    await m.ack()
                await sub.unsubscribe()
                # Without the stream's name: it is found by its subject.
                sub = await js.subscribe("s.0", ordered_consumer=True)
                self.assertEqual(b"0", (await sub.next_msg(timeout=20)).data)
                await sub.unsubscribe()
        self.run_async(story)

    def test_direct_gets(self):
        async def story():
            child_client, child = await self.js("a/c")
            await self.api(child_client, "STREAM.CREATE.SHARED_D", {
                "name": "SHARED_D", "subjects": ["dg.*"], "storage": "memory", "retention": "limits", "allow_direct": True})
            await child.publish("dg.1", b"one")
            await child.publish("dg.2", b"two")
            # As the first words of a connection, and again.
            client, _ = await self.js("a")
            for _ in range(2):
                got = await client.request("$JS.API.DIRECT.GET.SHARED_D.dg.1", b"", timeout=20)
                self.assertEqual((b"one", "SHARED_D", "dg.1"), (got.data, got.headers["Nats-Stream"], got.headers["Nats-Subject"]))
                got = await client.request("$JS.API.DIRECT.GET.SHARED_D", b'{"seq":2}', timeout=20)
                self.assertEqual((b"two", "dg.2"), (got.data, got.headers["Nats-Subject"]))
            z, _ = await self.js("z")
            nobody, _ = await self.js("a")
            # Of a stream that is nowhere a server says nothing at all; a fence shows that it came to that.
            for missing, name in ((z, "SHARED_D"), (nobody, "SHARED_NONE")):
                heard = []

                async def hear(message):
                    heard.append(message)
                await missing.subscribe("_INBOX.none", cb=hear)
                await missing.publish(f"$JS.API.DIRECT.GET.{name}.dg.1", b"", reply="_INBOX.none")
                self.assertEqual(10059, self.err(await self.api(missing, "STREAM.INFO." + name)))
                self.assertEqual([], [m.data for m in heard if not m.headers])
            self.assertEqual(10059, self.err(await self.api(nobody, "STREAM.INFO.SHARED_NONE")))
            self.assertEqual(10059, self.err(await self.api(nobody, "STREAM.INFO.UNLISTED")))
        self.run_async(story)

    def test_the_nearest_wins_and_the_next_one_when_it_goes(self):
        async def story():
            async def fill(where, text):
                client, js = await self.js(where)
                await js.add_stream(name="SHARED_N", subjects=["n"])
                await js.publish("n", text)
                return client, js
            deep, _ = await fill("a/b/deep", b"deep")
            c, c_js = await fill("a/c", b"c")
            b, b_js = await fill("a/b", b"b")
            client, js = await self.js("a")

            async def first():
                return (await js.get_msg("SHARED_N", seq=1)).data
            before = self.metric("a", 'bulkhead_hidden_total{plane="nats"}')
            self.assertEqual(b"b", await first())
            self.assertEqual(before + 2, self.metric("a", 'bulkhead_hidden_total{plane="nats"}'))
            sub = await js.pull_subscribe("n", durable="P", stream="SHARED_N")
            self.assertEqual(b"b", (await sub.fetch(1, timeout=20))[0].data)
            # The holder vanishes: its consumer is gone with it, the next holder answers.
            self.assertTrue(await b_js.delete_stream("SHARED_N"))
            with self.assertRaises(nats.js.errors.NotFoundError) as caught:
                await js.consumer_info("SHARED_N", "P")
            self.assertEqual(10014, caught.exception.err_code)
            self.assertEqual(b"c", await first())
            sub = await js.pull_subscribe("n", durable="P", stream="SHARED_N")
            self.assertEqual(b"c", (await sub.fetch(1, timeout=20))[0].data)
            self.assertTrue(await c_js.delete_stream("SHARED_N"))
            self.assertEqual(b"deep", await first())
            # An own one wins from its first moment.
            await js.add_stream(name="SHARED_N", subjects=["n"])
            await js.publish("n", b"own")
            self.assertEqual(b"own", await first())
            await js.delete_stream("SHARED_N")
            self.assertEqual(b"deep", await first())
            await self.api(deep, "STREAM.DELETE.SHARED_N")
            with self.assertRaises(nats.js.errors.NotFoundError) as caught:
                await first()
            self.assertEqual("stream not found", caught.exception.description)
        self.run_async(story)

    def test_a_pull_that_waits_is_told_that_its_holder_vanished(self):
        """In the words of a stream that is deleted before one's own eyes; the next holder is then to be asked anew."""
        async def told(reader, owner, stream, subject):
            client, js = await self.js(reader)
            await js.pull_subscribe(subject, durable="P", stream=stream)
            heard, inbox = asyncio.Queue(), client.new_inbox()
            await client.subscribe(inbox, cb=heard.put)
            for _ in range(2):  # the first has the message, the second waits
                await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.P", b'{"batch":1,"expires":60000000000}', reply=inbox)
            first = await asyncio.wait_for(heard.get(), 30)
            self.assertEqual(b"here", first.data)
            await client.flush()
            self.assertTrue(await owner.delete_stream(stream))
            message = await asyncio.wait_for(heard.get(), 30)
            return message.headers, message.data, js

        async def story():
            _, own = await self.js("a")
            _, near = await self.js("a/b")
            _, far = await self.js("a/c")
            for js, name, text in ((own, "MINE", b"here"), (near, "SHARED_G", b"here"), (far, "SHARED_G", b"there")):
                await js.add_stream(name=name, subjects=[name.lower()])
                await js.publish(name.lower(), text)
            want_headers, want_data, _ = await told("a", own, "MINE", "mine")
            headers, data, js = await told("a", near, "SHARED_G", "shared_g")
            self.assertEqual((want_headers, want_data), (headers, data))
            self.assertTrue(headers["Status"].startswith("409"), headers)
            sub = await js.pull_subscribe("shared_g", durable="P", stream="SHARED_G")
            self.assertEqual(b"there", (await sub.fetch(1, timeout=20))[0].data)
        self.run_async(story)

    def test_running_push_and_ordered_consumers_end_with_their_holder(self):
        """They fall silent, as before a stream of one's own that is deleted: heartbeats stop, the consumer is not found,
        and one that is made anew, as clients make ordered ones by themselves, is the next holder's, from its first message."""
        async def consume(client, stream, inbox, **config):
            made = await self.api(client, "CONSUMER.CREATE." + stream, {"stream_name": stream, "config": {
                "deliver_subject": inbox, "ack_policy": "none", "idle_heartbeat": 100000000, **config}})
            self.assertNotIn("error", made)
            return made["name"]

        async def story():
            _, own = await self.js("a")
            _, near = await self.js("a/b")
            _, far = await self.js("a/c")
            for js, name, text in ((own, "MINE", b"here"), (near, "SHARED_H", b"here"), (far, "SHARED_H", b"there")):
                await js.add_stream(name=name, subjects=[name.lower()])
                await js.publish(name.lower(), text)
            client, _ = await self.js("a")
            heard, plain = {}, {}
            ordered = {"flow_control": True, "max_deliver": 1, "mem_storage": True, "num_replicas": 1}
            for owner, stream in ((own, "MINE"), (near, "SHARED_H")):
                for config in ({}, ordered):
                    inbox = client.new_inbox()
                    queue = heard[stream, bool(config)] = asyncio.Queue()
                    await client.subscribe(inbox, cb=queue.put)
                    name = plain[stream, bool(config)] = await consume(client, stream, inbox, **config)
                    self.assertEqual(b"here", (await asyncio.wait_for(queue.get(), 30)).data)
                    beat = await asyncio.wait_for(queue.get(), 30)
                    self.assertEqual("100", beat.headers["Status"])
                self.assertTrue(await owner.delete_stream(stream))
                await client.flush()
            # Nobody is told more by a child's stream than by one's own.
            said = {key: {m.headers["Status"] for m in queue._queue} - {"100"} for key, queue in heard.items()}
            for config in (False, True):
                self.assertEqual(said["MINE", config], said["SHARED_H", config])
                gone = await self.api(client, f"CONSUMER.INFO.SHARED_H.{plain['SHARED_H', config]}")
                self.assertEqual(10014, self.err(gone))
                # No heartbeat comes either: a fence of as many as the next holder's consumer sends.
                inbox = client.new_inbox()
                queue = asyncio.Queue()
                await client.subscribe(inbox, cb=queue.put)
                await client.flush()
                for old in heard.values():
                    while not old.empty():
                        old.get_nowait()
                await consume(client, "SHARED_H", inbox, **(ordered if config else {}))
                first = await asyncio.wait_for(queue.get(), 30)
                self.assertEqual((b"there", 1), (first.data, first.metadata.sequence.stream))
                for _ in range(3):
                    beat = await asyncio.wait_for(queue.get(), 30)
                    self.assertEqual("100", beat.headers["Status"])
                self.assertEqual([True] * 4, [old.empty() for old in heard.values()])
            # What nats-py's own ordered consumer does with it.
            _, js = await self.js("a")
            sub = await js.subscribe("shared_h", stream="SHARED_H", ordered_consumer=True)
            self.assertEqual(b"there", (await sub.next_msg(timeout=20)).data)
        self.run_async(story)

    def test_a_work_queue_is_not_consumed_from_above(self):
        async def story():
            _, child = await self.js("a/b")
            await child.add_stream(name="SHARED_W", subjects=["w"], retention="workqueue")
            await child.publish("w", b"job")
            client, js = await self.js("a")
            self.assertEqual(b"job", (await js.get_msg("SHARED_W", seq=1)).data)
            made = await self.api(client, "CONSUMER.CREATE.SHARED_W", {"stream_name": "SHARED_W", "config": {"ack_policy": "explicit"}})
            self.assertEqual(10075, self.err(made))
            sub = await child.pull_subscribe("w", durable="W")
            self.assertEqual(b"job", (await sub.fetch(1, timeout=20))[0].data)
        self.run_async(story)


if __name__ == "__main__":
    unittest.main(verbosity=2)
