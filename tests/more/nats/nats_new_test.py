# SPDX-License-Identifier: Apache-2.0
"""What JetStream learnt from 2.11 on (TTL of messages, paused consumers, priority groups) and in 2.12 (counters,
atomic batches): the tenants of one server do it at the same time, in equal names, and hear what a server of one's own says."""

import json
import os
import unittest

os.environ["E2E_NATS_SERVER"] = os.path.join(os.environ["MORE"], "nats", "server-2.12", "nats-server")

import nats_jetstream_test as jetstream  # noqa: E402 (the server is chosen first)


class NewFeatures(jetstream.JetStream):
    async def ask(self, client, subject, payload=b"", **headers):
        reply = await client.request(subject, payload, timeout=20, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return json.loads(reply.data) if reply.data else {}

    async def heard(self, sub, verb):
        message = await sub.next_msg(20)
        body = json.loads(message.data)
        self.assertEqual("$JS.EVENT.ADVISORY.CONSUMER." + verb, message.subject)
        return {k: v for k, v in body.items() if k in ("type", "stream", "consumer", "group", "paused", "reason")}

    def test_messages_with_a_time_to_live(self):
        async def story(c, js):
            yield await self.api(c, "STREAM.CREATE.T", {"name": "T", "subjects": ["t.>"], "storage": "memory", "retention": "limits",
                                                        "allow_msg_ttl": True})
            yield await self.ask(c, "t.short", b"x", Nats_TTL="1s")
            yield await self.ask(c, "t.long", b"x", Nats_TTL="1h")
            yield await self.ask(c, "t.wrong", b"x", Nats_TTL="soon")
            while "error" not in await self.api(c, "STREAM.MSG.GET.T", {"seq": 1}):
                pass
            yield await self.api(c, "STREAM.MSG.GET.T", {"last_by_subj": "t.short"})
            yield (await self.api(c, "STREAM.MSG.GET.T", {"last_by_subj": "t.long"}))["message"]["subject"]
        self.alike(story)

    def test_counters(self):
        async def story(c, js):
            yield await self.api(c, "STREAM.CREATE.N", {"name": "N", "subjects": ["n.>"], "storage": "memory", "retention": "limits",
                                                        "allow_msg_counter": True, "allow_direct": True})
            for step in ("+5", "-2", "+18446744073709551615", "none"):
                yield await self.ask(c, "n.hits", Nats_Incr=step)
            yield await self.ask(c, "n.hits", b"no step")
            last = await c.request("$JS.API.DIRECT.GET.N.n.hits", b"", timeout=20)
            yield [last.data.decode(), last.headers["Nats-Subject"], last.headers["Nats-Stream"]]
        self.alike(story)

    def test_atomic_batches(self):
        async def story(c, js):
            yield await self.api(c, "STREAM.CREATE.B", {"name": "B", "subjects": ["b.>"], "storage": "memory", "retention": "limits",
                                                        "allow_atomic": True})
            yield await self.ask(c, "b.1", b"1", Nats_Batch_Id="same", Nats_Batch_Sequence="1")
            yield (await self.api(c, "STREAM.INFO.B"))["state"]["messages"]
            yield await self.ask(c, "b.2", b"2", Nats_Batch_Id="same", Nats_Batch_Sequence="2",
                                 Nats_Expected_Last_Subject_Sequence="0")
            yield await self.ask(c, "b.3", b"3", Nats_Batch_Id="same", Nats_Batch_Sequence="3", Nats_Batch_Commit="1")
            yield (await self.api(c, "STREAM.INFO.B"))["state"]["messages"]
            yield await self.ask(c, "b.4", b"4", Nats_Batch_Id="gap", Nats_Batch_Sequence="7", Nats_Batch_Commit="1")
        self.alike(story)

    def test_a_consumer_is_paused(self):
        async def story(c, js):
            advisories = await c.subscribe("$JS.EVENT.ADVISORY.CONSUMER.PAUSE.P.*")
            await js.add_stream(name="P", subjects=["p"], storage="memory")
            await self.api(c, "CONSUMER.CREATE.P.C", {"stream_name": "P", "config": {"name": "C", "durable_name": "C", "ack_policy": "explicit"}})
            yield "made"
            answer = await self.api(c, "CONSUMER.PAUSE.P.C", {"pause_until": "2199-01-01T00:00:00Z"})
            yield answer | {"pause_remaining": 0}
            yield await self.heard(advisories, "PAUSE.P.C")
            yield await self.api(c, "CONSUMER.PAUSE.P.C")
            yield await self.heard(advisories, "PAUSE.P.C")
        self.alike(story)

    def test_priority_groups(self):
        async def story(c, js):
            pinned = await c.subscribe("$JS.EVENT.ADVISORY.CONSUMER.PINNED.>")
            unpinned = await c.subscribe("$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.>")
            await js.add_stream(name="G", subjects=["g"], storage="memory")
            config = {"name": "C", "durable_name": "C", "ack_policy": "explicit", "priority_groups": ["first"],
                      "priority_policy": "pinned_client", "priority_timeout": 60_000_000_000}
            made = await self.api(c, "CONSUMER.CREATE.G.C", {"stream_name": "G", "config": config})
            yield [made.get("error"), made["config"]["priority_groups"], made["config"]["priority_policy"]]
            inbox = c.new_inbox()
            sub = await c.subscribe(inbox)
            await c.publish("$JS.API.CONSUMER.MSG.NEXT.G.C", json.dumps({"batch": 1, "expires": 20_000_000_000, "group": "first"}).encode(), reply=inbox)
            await js.publish("g", b"one")
            message = await sub.next_msg(20)
            yield [message.subject, message.data.decode(), sorted(message.headers)]
            yield await self.heard(pinned, "PINNED.G.C")
            yield await self.api(c, "CONSUMER.UNPIN.G.C", {"group": "first"})
            yield await self.heard(unpinned, "UNPINNED.G.C")
        self.alike(story)


    def test_subject_transforms(self):
        async def story(c, js):
            base = {"storage": "memory", "retention": "limits"}
            yield await self.api(c, "STREAM.CREATE.IN", {"name": "IN", "subjects": ["in.*"], **base,
                                                         "subject_transform": {"src": "in.*", "dest": "kept.{{wildcard(1)}}"},
                                                         "republish": {"src": "kept.*", "dest": "again.{{wildcard(1)}}", "headers_only": True}})
            again = await c.subscribe("again.*")
            yield await self.api(c, "STREAM.CREATE.FROM", {"name": "FROM", **base, "sources": [
                {"name": "IN", "subject_transforms": [{"src": "kept.1", "dest": "one.x"}, {"src": "kept.2", "dest": ""}]}]})
            for i in "123":
                yield await self.ask(c, "in." + i, i.encode())
                m = await again.next_msg(20)
                yield [m.subject, m.data.decode(), m.headers["Nats-Stream"], m.headers["Nats-Subject"], m.headers["Nats-Msg-Size"]]
            while (info := await self.api(c, "STREAM.INFO.FROM", {"subjects_filter": ">"}))["state"]["messages"] < 2:
                pass
            yield info["state"]["subjects"]
            yield (await self.api(c, "STREAM.INFO.IN", {"subjects_filter": ">"}))["state"]["subjects"]
            yield (await self.api(c, "STREAM.MSG.GET.FROM", {"seq": 1}))["message"]["subject"]
        self.alike(story)

    def test_batched_direct_gets(self):
        async def story(c, js):
            await self.api(c, "STREAM.CREATE.D", {"name": "D", "subjects": ["d.>"], "storage": "memory", "retention": "limits", "allow_direct": True})
            for subject in ("d.1", "d.2", "d.1", "d.3.x"):
                await js.publish(subject, subject.encode())
            inbox = c.new_inbox()
            sub = await c.subscribe(inbox)
            for body in ({"seq": 1, "batch": 3}, {"batch": 9, "next_by_subj": "d.1"}, {"multi_last": ["d.1", "d.2"]}, {"multi_last": ["d.>"], "batch": 2},
                         {"batch": 2, "next_by_subj": "none"}):
                await c.publish("$JS.API.DIRECT.GET.D", json.dumps(body).encode(), reply=inbox)
                got = []
                while not got or got[-1][0] not in ("204", "404", "408", "413"):
                    m = await sub.next_msg(20)
                    headers = {k: v for k, v in m.headers.items() if k not in ("Nats-Time-Stamp", "Nats-UpTo-Sequence", "Status")}
                    got.append([m.headers.get("Status"), m.data.decode(), sorted(headers.items())])
                yield got
        self.alike(story)

    def test_keys_with_a_time_to_live_leave_a_marker(self):
        async def story(c, js):
            await self.api(c, "STREAM.CREATE.KV_T", {"name": "KV_T", "subjects": ["$KV.T.>"], "storage": "memory", "retention": "limits", "max_msgs_per_subject": 1,
                                                     "allow_msg_ttl": True, "subject_delete_marker_ttl": 60_000_000_000, "allow_rollup_hdrs": True,
                                                     "allow_direct": True})
            kv = await js.key_value("T")
            watcher = await kv.watchall()
            yield await watcher.updates(timeout=20)
            yield await self.ask(c, "$KV.T.short", b"x", Nats_TTL="1s")
            e = await watcher.updates(timeout=20)
            yield [e.key, e.value.decode()]
            e = await watcher.updates(timeout=20)
            yield [e.key, e.value, e.revision]
            last = await c.request("$JS.API.DIRECT.GET.KV_T.$KV.T.short", b"", timeout=20)
            yield [last.headers["Nats-Marker-Reason"], last.headers["Nats-Subject"], last.headers["Nats-Stream"]]
            await watcher.stop()
        self.alike(story)

    def test_messages_with_a_schedule(self):
        async def story(c, js):
            made = await self.api(c, "STREAM.CREATE.SCHED", {"name": "SCHED", "subjects": ["sched.>", "due.>"], "storage": "memory", "retention": "limits",
                                                             "allow_msg_schedules": True, "allow_msg_ttl": True})
            yield made.get("error")
            due = await c.subscribe("due.>")
            await js.add_consumer("SCHED", durable_name="C", deliver_subject="heard.push", filter_subject="due.x", ack_policy="none")
            push = await c.subscribe("heard.push")
            await c.flush()
            yield await self.ask(c, "sched.1", b"now", Nats_Schedule="@at 2020-01-01T00:00:00Z", Nats_Schedule_Target="due.x")
            m = await push.next_msg(20)
            yield [m.subject, m.data.decode(), m.headers.get("Nats-Scheduler"), m.headers.get("Nats-Schedule-Next")]
            yield await self.ask(c, "sched.2", b"wrong", Nats_Schedule="@at 2020-01-01T00:00:00Z", Nats_Schedule_Target="elsewhere")
            await due.unsubscribe()
        self.alike(story)


class Newest(NewFeatures):
    """All of that on 2.15, and what it brought."""

    @classmethod
    def setUpClass(cls):
        os.environ["E2E_NATS_SERVER"] = os.path.join(os.environ["MORE"], "nats", "server-2.15", "nats-server")
        super().setUpClass()

    def test_a_consumer_is_reset(self):
        async def story(c, js):
            await js.add_stream(name="R", subjects=["r"], storage="memory")
            for i in range(3):
                await js.publish("r", str(i).encode())
            sub = await js.pull_subscribe("r", "C")
            for m in await sub.fetch(3, timeout=20):
                await m.ack_sync(timeout=20)
            answer = await self.api(c, "CONSUMER.RESET.R.C", {"seq": 2})
            yield [answer.get("type"), answer.get("error"), answer.get("stream_name"), answer.get("name"), answer.get("num_pending")]
            yield [m.data.decode() for m in await sub.fetch(2, timeout=20)]
        self.alike(story)

    def test_a_foreign_stream_that_copies_is_not_named(self):
        """Somebody with the store's credentials copies from a tenant's stream: the consumer by which it does is
        among the stream's, and says whose it is."""
        async def story():
            raw, a = await self.raw(), await self.connect(self.a.nats_url)
            base = {"storage": "memory", "retention": "limits"}
            # Of a stream that keeps what nobody has taken: others' copying consumers are not listed.
            await self.api(a, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"], "storage": "memory", "retention": "interest"})
            await self.api(a, "STREAM.CREATE.COPY", {"name": "COPY", **base, "sources": [{"name": "S"}]})
            await self.api(raw, "STREAM.CREATE.b~~THIEF", {"name": "b~~THIEF", **base, "sources": [{"name": "a~~S"}]})
            def said_by(answer):
                return sorted(c["config"]["metadata"]["_nats.src.stream"] for c in answer["consumers"] or ())
            while said_by(await self.api(raw, "CONSUMER.LIST.a~~S")) != ["a~~COPY", "b~~THIEF"]:
                pass
            answer = await self.api(a, "CONSUMER.LIST.S")
            self.assertEqual(["", "COPY"], said_by(answer))
            for c in answer["consumers"]:
                info = await self.api(a, "CONSUMER.INFO.S." + c["name"])
                self.assertEqual(said_by({"consumers": [c]}), said_by({"consumers": [info]}))
                self.assertNotIn("THIEF", json.dumps(info))
            self.assertNotIn("THIEF", json.dumps(answer))
            await self.clean(raw)
        self.run_async(story)


for inherited in vars(jetstream.JetStream):  # they run on every version by nats_versions_test
    if inherited.startswith("test_"):
        setattr(NewFeatures, inherited, None)

if __name__ == "__main__":
    unittest.main(verbosity=2)
