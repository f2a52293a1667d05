# SPDX-License-Identifier: Apache-2.0
"""JetStream, key-value and object store by nats-py: two tenants use the same names at the same time on
one server, and each hears what it would hear of a server of its own."""

import asyncio
import json
import re
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


ACK_WAIT_S = 5  # within which a message is acknowledged, on a busy machine, too


def plain(info):
    """An info without ids, times and sizes: subjects are longer on the shared server."""
    drop = {"created", "ts", "first_ts", "last_ts", "cluster", "last_active", "timestamp", "bytes", "active", "lag"}
    if isinstance(info, dict):
        return {k: plain(v) for k, v in sorted(info.items()) if k not in drop}
    if isinstance(info, str):  # from 2.14 on Nats-Stream-Source ends with an id
        return re.sub(r"^(\S+ \d+ \S+ \S+ \S+) [A-Za-z0-9]{8}$", r"\1", info)
    return [plain(v) for v in info] if isinstance(info, list) else info


class JetStream(cases.Shared):
    use_etcd = False
    jetstream = True
    neighbours = ("a/child", "default")
    said = ()  # besides, on the shared server

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.private = cls.stack.nats("private", extra=("-js", "-sd", cls.stack.path("private-js")))
        cls.listening = cases.Listening(cls)

    @classmethod
    def tearDownClass(cls):
        """What a tenant heard that listened to everything for all that time: nothing."""
        cls.listening.judge(r"bh\.e\.a\.~\.~\.~\._INBOX\.", r"bh\.e\.b\.~\.~\.~\._INBOX\.", r"\$JS\.API\.STREAM\.CREATE\.[ab]~~",
                            r"\$JS\.EVENT\.ADVISORY\.STREAM\.CREATED\.[ab]~~", *cls.said)
        super().tearDownClass()

    async def connect(self, url, **kwargs):
        client = await nats.connect(url, connect_timeout=20, allow_reconnect=False, **kwargs)
        self.async_cleanups.append(client.close)
        return client

    async def api(self, client, subject, body=None):
        """One request of the API, as the server words it."""
        reply = await client.request("$JS.API." + subject, json.dumps(body).encode() if body else b"", timeout=20)
        return json.loads(reply.data)

    def run_async(self, story):
        self.async_cleanups = []

        async def whole():
            try:
                await self.clean(await self.raw())  # what a test that failed left behind
                await asyncio.wait_for(story(), 240)
            finally:
                for cleanup in reversed(self.async_cleanups):
                    await cleanup()
        asyncio.run(whole())

    async def everybody(self, **kwargs):
        """(name, client) of a server of one's own, both tenants and the neighbours."""
        places = [("private", self.private.url), *((s.namespace, s.nats_url) for s in (self.a, self.b, *self.around))]
        return [(name, await self.connect(url, **kwargs)) for name, url in places]

    async def clean(self, client):
        for name in await self.names(client):
            await self.api(client, "STREAM.DELETE." + name)

    async def names(self, client):
        return (await self.api(client, "STREAM.NAMES"))["streams"] or []

    async def raw(self):
        return await self.connect(self.nats.url)

    def alike(self, story, **kwargs):
        """Runs story(client, js) for everybody, one step of all after another's, and compares what it
        yields with the private server's."""
        async def whole():
            clients = await self.everybody(**kwargs)
            await self.clean(clients[0][1])
            runs = [(name, client, story(client, client.jetstream(timeout=20))) for name, client in clients]
            step = 0
            while runs:
                seen, going = {}, []
                for name, client, run in runs:
                    try:
                        seen[name] = await run.__anext__()
                        going.append((name, client, run))
                    except StopAsyncIteration:
                        seen[name] = "the end"
                for name, got in seen.items():
                    self.assertEqual(plain(seen["private"]), plain(got), f"step {step} of {name}")
                runs, step = going, step + 1
            names = await self.names(await self.raw())
            for name in names:
                self.assertRegex(name, r"^(?:(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+~)*~", "the shared server holds mapped names only")
            for _, client in clients:
                await self.clean(client)
            self.assertEqual([], await self.names(await self.raw()))
        self.run_async(whole)

    def test_streams(self):
        async def story(c, js):
            config = {"name": "ORDERS", "subjects": ["orders.*", "late"], "retention": "limits", "storage": "memory",
                      "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "discard": "old", "num_replicas": 1}
            yield await self.api(c, "STREAM.CREATE.ORDERS", config)
            yield await self.api(c, "STREAM.CREATE.ORDERS", config)
            yield await self.api(c, "STREAM.CREATE.OTHER", {**config, "name": "OTHER"})  # overlaps
            yield await self.api(c, "STREAM.CREATE.OTHER", {**config, "name": "ORDERS"})  # names differ
            yield await self.api(c, "STREAM.CREATE.PLAIN", {"name": "PLAIN", "storage": "memory", "retention": "limits"})
            yield await self.api(c, "STREAM.UPDATE.ORDERS", {**config, "subjects": ["orders.*"]})
            yield await self.api(c, "STREAM.INFO.NONE")
            yield await self.api(c, "STREAM.NAMES")
            yield await self.api(c, "STREAM.NAMES", {"subject": "orders.7"})
            yield await self.api(c, "STREAM.NAMES", {"offset": 1})
            yield await self.api(c, "STREAM.LIST")
            ack = await js.publish("orders.1", b"one", headers={"Nats-Msg-Id": "m1", "Nats-Expected-Stream": "ORDERS"})
            yield [ack.stream, ack.seq, ack.duplicate]
            ack = await js.publish("orders.1", b"one", headers={"Nats-Msg-Id": "m1"})
            yield [ack.stream, ack.seq, ack.duplicate]
            for headers in ({"Nats-Expected-Stream": "WRONG"}, {"Nats-Expected-Last-Sequence": "9"}):
                with self.assertRaises(nats.js.errors.APIError) as caught:
                    await js.publish("orders.1", b"x", headers=headers)
                yield [caught.exception.code, caught.exception.err_code, caught.exception.description]
                raw = await c.request("orders.1", b"x", headers=headers, timeout=20)
                yield json.loads(raw.data)
            ack = await js.publish("PLAIN", b"by its name")
            yield [ack.stream, ack.seq]
            yield await self.api(c, "STREAM.INFO.ORDERS", {"subjects_filter": ">"})
            yield plain(await self.api(c, "STREAM.MSG.GET.ORDERS", {"seq": 1}))["message"] | {"time": ""}
            yield plain(await self.api(c, "STREAM.MSG.GET.ORDERS", {"last_by_subj": "orders.1"}))["message"] | {"time": ""}
            yield await self.api(c, "STREAM.MSG.GET.ORDERS", {"last_by_subj": "orders.none"})
            yield await self.api(c, "STREAM.PURGE.ORDERS", {"filter": "orders.2"})
            yield await self.api(c, "STREAM.MSG.DELETE.ORDERS", {"seq": 1})
            yield await self.api(c, "STREAM.PURGE.ORDERS")
            yield await self.api(c, "STREAM.DELETE.ORDERS")
            yield await self.api(c, "STREAM.DELETE.ORDERS")
            yield await self.names(c)
        self.alike(story)

    def test_a_client_that_does_not_hear_itself(self):
        """echo: false. Answers of the API come to each of its subscriptions, as often as on a private server."""
        async def story(c, js):
            heard = {}
            async def listen(subject, queue="", limit=0):
                async def on(m):
                    heard.setdefault((subject, queue), []).append(m.subject + " " + m.data.decode()[:60])
                sub = await c.subscribe(subject, queue=queue, cb=on)
                if limit:
                    await sub.unsubscribe(limit)
            for args in (("answers.*",), ("answers.1",), ("answers.>", "q"), ("answers.1", "q"), ("answers.2", "", 1), ("own",)):
                await listen(*args)
            await self.api(c, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"], "storage": "memory", "retention": "limits"})
            for verb, reply in (("STREAM.INFO.S", "answers.1"), ("STREAM.PURGE.S", "answers.2"), ("STREAM.INFO.NONE", "answers.2"),
                                ("STREAM.NAMES", "answers.3"), ("STREAM.DELETE.NONE", "answers.4"), ("INFO.X", "")):
                await c.publish("own", b"not heard")
                await c.publish("$JS.API." + verb, b"", reply=reply)
            while sum(map(len, heard.values())) < 12:  # 5 of answers.*, 5 of the group, one of each of the others
                await asyncio.sleep(0.01)
            await c.flush()
            one = sorted(heard.pop(("answers.1", "q"), []) + heard.pop(("answers.>", "q")))
            first = heard.pop(("answers.2", ""))  # later servers answer several requests in any order
            yield [sorted((k, sorted(v)) for k, v in heard.items()), one, len(first)]
            kv = await js.create_key_value(bucket="config", storage="memory")
            watcher = await kv.watchall()
            yield [await kv.put("k", b"1"), await watcher.updates(timeout=20), (await watcher.updates(timeout=20)).key]
            ack = await js.publish("s", b"one")
            yield [ack.stream, ack.seq]
            m, = await (await js.pull_subscribe("s", "D")).fetch(1, timeout=20)
            await m.ack_sync(timeout=20)
            yield [m.subject, (await js.consumer_info("S", "D")).num_pending]
        self.alike(story, no_echo=True)

    def test_advisories(self):
        """Everybody listens to all of them while all do the same: each hears its own once, as on a private server,
        but for the audit of the API, which is the operator's."""
        drop = {"id", "timestamp", "account", "domain", "ack_time"}

        def seen(message):
            return [message.subject, {k: v for k, v in json.loads(message.data).items() if k not in drop}]

        async def hear(sub, *what):
            got = []
            while len(got) < len(what):
                message = await sub.next_msg(20)
                if message.subject.startswith("$JS.EVENT.") and not message.subject.startswith("$JS.EVENT.ADVISORY.API"):
                    got.append(seen(message))
            self.assertEqual(sorted(what), sorted(subject.removeprefix("$JS.EVENT.") for subject, _ in got))
            return sorted(got, key=str)

        async def story(c, js):
            everything, wide = await c.subscribe("$JS.EVENT.>"), await c.subscribe(">")
            open_end = await c.subscribe("*.*.ADVISORY.STREAM.*.*", queue="q")
            metrics = await c.subscribe("$JS.EVENT.METRIC.CONSUMER.ACK.EV.*", queue="q")
            one = await c.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.EV.D")
            first = await c.subscribe("$JS.*.ADVISORY.STREAM.CREATED.>")
            await first.unsubscribe(limit=1)
            await c.flush()
            yield "subscribed"
            await js.add_stream(name="EV", subjects=["ev"], storage="memory")
            await self.api(c, "CONSUMER.CREATE.EV.D", {"stream_name": "EV", "config": {
                "durable_name": "D", "name": "D", "ack_policy": "explicit", "max_deliver": 1, "ack_wait": ACK_WAIT_S * 10**9,
                "sample_freq": "100%", "deliver_policy": "all", "replay_policy": "instant"}})
            for sub in (everything, wide):
                yield await hear(sub, "ADVISORY.STREAM.CREATED.EV", "ADVISORY.CONSUMER.CREATED.EV.D")
            yield await hear(open_end, "ADVISORY.STREAM.CREATED.EV")
            yield seen(await first.next_msg(20))
            for i in range(4):
                await js.publish("ev", str(i).encode())
            pull = await js.pull_subscribe("ev", durable="D", stream="EV")
            acked, nakked, ended, _late = await pull.fetch(4, timeout=20)
            await acked.ack_sync(timeout=20)
            await nakked.nak()
            await ended.term()
            inbox = c.new_inbox()  # deliveries are counted while somebody pulls
            await c.subscribe(inbox)
            await c.publish("$JS.API.CONSUMER.MSG.NEXT.EV.D", b'{"batch":4,"expires":120000000000}', reply=inbox)
            yield "everybody has taken theirs"  # so that all wait at the same time
            for sub in (everything, wide):
                yield await hear(sub, "METRIC.CONSUMER.ACK.EV.D", "ADVISORY.CONSUMER.MSG_NAKED.EV.D",
                                 "ADVISORY.CONSUMER.MSG_TERMINATED.EV.D", *["ADVISORY.CONSUMER.MAX_DELIVERIES.EV.D"] * 2)
            yield await hear(metrics, "METRIC.CONSUMER.ACK.EV.D")
            yield await hear(one, *["ADVISORY.CONSUMER.MAX_DELIVERIES.EV.D"] * 2)
            await self.api(c, "CONSUMER.DELETE.EV.D")
            await self.api(c, "STREAM.DELETE.EV")
            for sub in (everything, wide):
                yield await hear(sub, "ADVISORY.STREAM.DELETED.EV", "ADVISORY.CONSUMER.DELETED.EV.D")
            yield await hear(open_end, "ADVISORY.STREAM.DELETED.EV")
            yield "everybody has done it"
            await c.flush()
            left = 0
            while everything.pending_msgs:
                left += not (await everything.next_msg(20)).subject.startswith("$JS.EVENT.ADVISORY.API")
            yield [left, metrics.pending_msgs, one.pending_msgs, open_end.pending_msgs]
        self.alike(story)

    def test_members_that_nobody_knows(self):
        """Of a server to come: this one ignores them, or (from 2.12 on) refuses them, whether they hold text or not."""
        async def story(c, js):
            config = {"name": "S", "subjects": ["s"], "storage": "memory", "retention": "limits"}
            for new in ({"new_number": 7}, {"new_text": "words"}, {"new_object": {"to": ["a", 1]}}, {"placement": {"new_text": "words"}},
                        {"republish": {"src": "s", "dest": "again", "new_text": "words"}}):
                yield await self.api(c, "STREAM.CREATE.S", {**config, **new})
                await self.clean(c)
            await self.api(c, "STREAM.CREATE.S", config)
            for new in ({"new_number": 7}, {"new_text": "words"}):
                made = await self.api(c, "CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"name": "C", "ack_policy": "explicit", **new}})
                yield [made.get("error"), made.get("name")]
                yield await self.api(c, "STREAM.PURGE.S", new)
        self.alike(story)

    def test_bodies_that_are_no_json(self):
        async def story(c, js):
            await self.api(c, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"], "storage": "memory", "retention": "limits"})
            for verb in ("STREAM.CREATE.S", "STREAM.UPDATE.S", "STREAM.INFO.S", "STREAM.NAMES", "STREAM.LIST", "STREAM.PURGE.S", "STREAM.MSG.GET.S",
                         "CONSUMER.CREATE.S", "CONSUMER.CREATE.S.C", "CONSUMER.DURABLE.CREATE.S.C"):
                for body in (b"{", b'{"name":"S"', b"[]"):
                    answer = json.loads((await c.request("$JS.API." + verb, body, timeout=20)).data)
                    if "error" in answer:
                        answer["error"]["description"] = answer["error"]["description"][:12]  # later servers say where, in their own bytes
                    yield [verb, body.decode(), answer]
        self.alike(story)

    def test_direct_gets(self):
        async def story(c, js):
            await self.api(c, "STREAM.CREATE.D", {"name": "D", "subjects": ["d.*"], "storage": "memory", "retention": "limits", "allow_direct": True})
            for i in range(3):
                await js.publish(f"d.{i}", str(i).encode(), headers={"Nats-Expected-Last-Subject-Sequence": "0", "own": "v"})
            for subject, body in (("D.d.1", b""), ("D", b'{"last_by_subj":"d.2"}'), ("D", b'{"seq":1}'), ("D", b'{"seq":77}'), ("D.d.none", b"")):
                m = await c.request("$JS.API.DIRECT.GET." + subject, body, timeout=20)
                headers = dict(m.headers)
                headers.pop("Nats-Time-Stamp", None)
                yield [m.data.decode(), headers]
            m = await js.get_last_msg("D", "d.2", direct=True)
            yield [m.subject, m.data.decode(), m.stream]
        self.alike(story)

    def test_mirrors_sources_republish(self):
        async def story(c, js):
            base = {"storage": "memory", "retention": "limits"}
            yield await self.api(c, "STREAM.CREATE.FROM", {"name": "FROM", "subjects": ["from.*"], **base, "republish": {"src": ">", "dest": "again.>"}})
            yield await self.api(c, "STREAM.CREATE.MIRROR", {"name": "MIRROR", "mirror": {"name": "FROM"}, **base})
            yield await self.api(c, "STREAM.CREATE.SOURCE", {"name": "SOURCE", "sources": [{"name": "FROM", "filter_subject": "from.1"}], **base})
            sub = await c.subscribe("again.>")
            await c.flush()
            for i in range(3):
                await js.publish(f"from.{i}", str(i).encode())
            got = [await sub.next_msg(timeout=20) for _ in range(3)]
            for m in got:
                m.headers.pop("Nats-Time-Stamp", None)
            yield [(m.subject, m.data.decode(), dict(m.headers)) for m in got]
            for name, n in (("MIRROR", 3), ("SOURCE", 1)):
                while (info := await self.api(c, "STREAM.INFO." + name))["state"]["messages"] < n:
                    await asyncio.sleep(0.01)
                yield [info["config"].get("mirror"), info["config"].get("sources"), (info.get("mirror") or info["sources"][0])["name"]]
            m = await js.get_msg("SOURCE", 1)
            yield [m.subject, m.data.decode(), m.headers]
            yield await self.names(c)
            yield await self.api(c, "STREAM.NAMES", {"offset": 2})
        self.alike(story)

    def test_key_value(self):
        async def story(c, js):
            kv = await js.create_key_value(bucket="config", history=5, storage="memory")
            yield [await kv.put("k", b"1"), await kv.put("k", b"2"), await kv.put("other.key", b"x")]
            entry = await kv.get("k")
            yield [entry.bucket, entry.key, entry.value.decode(), entry.revision]
            yield await kv.update("k", b"3", last=2)
            with self.assertRaises(nats.js.errors.KeyWrongLastSequenceError) as caught:
                await kv.update("k", b"4", last=1)
            yield str(caught.exception)
            with self.assertRaises(nats.js.errors.KeyWrongLastSequenceError):
                await kv.create("k", b"5")
            yield await kv.create("new", b"n")
            yield [(e.value.decode(), e.revision) for e in await kv.history("k")]
            watcher = await kv.watchall()
            seen = []
            while (e := await watcher.updates(timeout=20)) is not None:
                seen.append((e.key, (e.value or b"").decode(), e.operation))
            yield seen
            await kv.delete("k")
            e = await watcher.updates(timeout=20)
            yield [e.key, e.operation]
            await watcher.stop()
            with self.assertRaises(nats.js.errors.KeyNotFoundError):
                await kv.get("k")
            yield sorted(await kv.keys())
            yield await kv.purge("other.key")
            status = await kv.status()
            yield [status.bucket, status.values, status.history]
            with self.assertRaises(nats.js.errors.BucketNotFoundError):
                await js.key_value("none")
            yield await js.delete_key_value("config")
        self.alike(story)

    def test_object_store(self):
        async def story(c, js):
            store = await js.create_object_store("files", storage="memory")
            data = bytes(range(256)) * 2000  # several chunks
            info = await store.put("model/tokenizer.json", data)
            yield [info.bucket, info.name, info.size, info.chunks, info.digest]
            got = await store.get("model/tokenizer.json")
            yield [got.data == data, got.info.name]
            await store.put("second", b"2")
            yield sorted(i.name for i in await store.list())
            await store.put("second", b"22")
            yield (await store.get("second")).data.decode()
            await store.delete("second")
            yield sorted(i.name for i in await store.list(ignore_deletes=True))
            status = await store.status()
            yield [status.bucket]
            again = await js.object_store("files")
            yield (await again.get("model/tokenizer.json")).data == data
            with self.assertRaises(nats.js.errors.BucketNotFoundError):
                await js.object_store("none")
            yield True
        self.alike(story)

    def test_what_one_deletes_the_other_keeps(self):
        async def story():
            (_, a), (_, b) = [x for x in await self.everybody() if x[0] in "ab"]
            for c in (a, b):
                js = c.jetstream(timeout=20)
                await js.add_stream(name="S", subjects=["s"])
                await js.publish("s", b"1")
                await js.add_consumer("S", durable_name="D", ack_policy="explicit")
                kv = await js.create_key_value(bucket="B")
                await kv.put("k", b"v")
            await a.jetstream(timeout=20).purge_stream("S")
            await a.jetstream(timeout=20).delete_consumer("S", "D")
            await self.clean(a)
            self.assertEqual([], await self.names(a))
            self.assertEqual(["KV_B", "S"], sorted(await self.names(b)))
            self.assertEqual(1, (await b.jetstream(timeout=20).stream_info("S")).state.messages)
            self.assertEqual("D", (await b.jetstream(timeout=20).consumer_info("S", "D")).name)
            self.assertEqual(b"v", (await (await b.jetstream(timeout=20).key_value("B")).get("k")).value)
            self.assertEqual(["b~~KV_B", "b~~S"], sorted(await self.names(await self.raw())))
            await self.clean(b)
        self.run_async(story)

    def test_nothing_foreign_is_heard_while_listening_to_everything(self):
        async def story():
            raw = await self.raw()
            clients = {name: c for name, c in await self.everybody() if name != "private"}
            heard = []
            async def on(m):
                heard.append((m.subject, m.data, m.reply, str(m.headers)))
            for subject in (">", "$JS.>", "bh.>", "_INBOX.>", "*.*.*.*.*.>"):
                await clients["a"].subscribe(subject, cb=on)
            await clients["a"].flush()
            for name in ("b", "a/child", "default"):
                js = clients[name].jetstream(timeout=20)
                await js.add_stream(name="SECRET", subjects=["secret.>"])
                await js.publish("secret.x", b"secret")
            await clients["a"].jetstream(timeout=20).add_stream(name="MINE", subjects=["mine", ">.none"] [:1])
            self.assertEqual(["MINE"], await self.names(clients["a"]))
            await self.api(clients["a"], "STREAM.LIST")
            await clients["a"].request("mine", b"x", timeout=20)
            await clients["a"].flush()
            text = repr(heard)
            self.assertIn("MINE", text)
            self.assertNotIn("SECRET", text)
            self.assertNotIn("secret", text)
            self.assertNotIn("~", text)
            self.assertGreaterEqual(len(await self.names(raw)), 4)
            for c in clients.values():
                await self.clean(c)
        self.run_async(story)

    def test_account_info_tells_limits_and_no_usage(self):
        async def story():
            (_, a), (_, b) = [x for x in await self.everybody() if x[0] in "ab"]
            await b.jetstream(timeout=20).add_stream(name="S", subjects=["s"])
            info = await self.api(a, "INFO")
            self.assertEqual([0, 0, 0], [info["streams"], info["consumers"], info["api"]["total"]])
            self.assertEqual((await self.api(await self.raw(), "INFO"))["limits"], info["limits"])
            await self.clean(b)
        self.run_async(story)

    def test_denials_are_shown_as_errors(self):
        async def story():
            (_, a), = [x for x in await self.everybody() if x[0] == "a"]
            for subject in ("META.LEADER.STEPDOWN", "SERVER.REMOVE", "ACCOUNT.PURGE.A", "STREAM.SNAPSHOT.S", "STREAM.TEMPLATE.NAMES", "STREAM.INFO.A.B", "NEW"):
                answer = await self.api(a, subject)
                self.assertEqual(403, answer["error"]["code"], answer)
            answer = await self.api(a, "STREAM.CREATE.M", {"name": "M", "mirror": {"name": "X", "external": {"api": "$JS.b.API", "deliver": ""}}})
            self.assertEqual(403, answer["error"]["code"], answer)
            with self.assertRaises(nats.js.errors.APIError) as caught:
                await a.jetstream(timeout=20).add_stream(name="x" * 253, subjects=["x"])
            self.assertIn("stream name is too long, maximum allowed is 252", str(caught.exception))
            await a.jetstream(timeout=20).add_stream(name="x" * 200, subjects=["x"])
            await self.clean(a)
            answer = await self.api(a, "STREAM.NAMES")
            self.assertEqual([0, 0, None], [answer["total"], answer["offset"], answer["streams"]])  # as a server without any
        self.run_async(story)

    def test_lists_of_many_streams(self):
        async def story():
            clients = [c for name, c in await self.everybody() if name in ("a", "b")]
            for i in range(140):
                for c in clients:
                    answer = await self.api(c, f"STREAM.CREATE.S{i:03}", {"name": f"S{i:03}", "subjects": [f"s.{i}"], "storage": "memory", "retention": "limits"})
                    self.assertNotIn("error", answer)
            for c in clients:
                answer = await self.api(c, "STREAM.LIST")  # 280 on the server: more than one page of 256
                self.assertEqual([140, 0, 140], [answer["total"], answer["offset"], len(answer["streams"])])
                self.assertEqual([f"S{i:03}" for i in range(140)], sorted(s["config"]["name"] for s in answer["streams"]))
                self.assertEqual([f"S{i:03}" for i in range(140)], await self.names(c))
                answer = await self.api(c, "STREAM.LIST", {"offset": 130})
                self.assertEqual([140, 130, 10], [answer["total"], answer["offset"], len(answer["streams"])])
                answer = await self.api(c, "STREAM.NAMES", {"subject": "s.7"})
                self.assertEqual([1, ["S007"]], [answer["total"], answer["streams"]])
                await self.clean(c)
        self.run_async(story)


class WithoutJetStream(cases.Shared):
    use_etcd = False

    def test_a_server_without_it_says_so(self):
        async def story():
            c = await nats.connect(self.a.nats_url, connect_timeout=20, allow_reconnect=False)
            with self.assertRaises((nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError)):
                await c.jetstream(timeout=20).add_stream(name="S", subjects=["s"])
            with self.assertRaises(nats.js.errors.NoStreamResponseError):
                await c.jetstream(timeout=20).publish("s", b"x")
            await c.close()
        asyncio.run(asyncio.wait_for(story(), 60))


if __name__ == "__main__":
    unittest.main(verbosity=2)
