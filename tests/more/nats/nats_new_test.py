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


for inherited in vars(jetstream.JetStream):  # they run on every version by nats_versions_test
    if inherited.startswith("test_"):
        setattr(NewFeatures, inherited, None)

if __name__ == "__main__":
    unittest.main(verbosity=2)
