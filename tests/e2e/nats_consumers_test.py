# SPDX-License-Identifier: Apache-2.0
"""JetStream's consumers by nats-py: pull, push, ordered, groups, acknowledgements of every kind, heartbeats and
flow control; each step compared with a private server as in nats_jetstream_test."""

import asyncio
import json
import unittest

import nats_jetstream_test as jetstream
import nats.errors


class Consumers(jetstream.JetStream):
    said = (r"\$JS\.ACK\.[ab]~~", r"\$JS\.API\.CONSUMER\.[A-Z.]+\.[ab]~~")

    def test_consumers_pull(self):
        async def story(c, js):
            await js.add_stream(name="WORK", subjects=["work.>"], storage="memory")
            for i in range(25):
                await js.publish(f"work.{i % 5}", str(i).encode())
            yield await self.api(c, "CONSUMER.CREATE.WORK.D", {
                "stream_name": "WORK", "config": {"durable_name": "D", "name": "D", "ack_policy": "explicit", "filter_subject": "work.*",
                                                  "max_deliver": 3, "deliver_policy": "all", "replay_policy": "instant"}})
            yield await self.api(c, "CONSUMER.CREATE.WORK.F.work.1", {
                "stream_name": "WORK", "config": {"durable_name": "F", "name": "F", "ack_policy": "explicit", "filter_subject": "work.1",
                                                  "deliver_policy": "all", "replay_policy": "instant"}})
            yield await self.api(c, "CONSUMER.CREATE.WORK.G.work.1", {
                "stream_name": "WORK", "config": {"name": "G", "ack_policy": "none", "filter_subject": "work.2", "deliver_policy": "all", "replay_policy": "instant"}})
            yield await self.api(c, "CONSUMER.NAMES.WORK")
            yield await self.api(c, "CONSUMER.LIST.WORK")
            yield await self.api(c, "CONSUMER.INFO.WORK.NONE")
            yield await self.api(c, "CONSUMER.INFO.NONE.D")
            sub = await js.pull_subscribe_bind("D", stream="WORK")
            got = await sub.fetch(10, timeout=20)
            yield [(m.subject, m.data.decode(), m.metadata.stream, m.metadata.consumer, m.metadata.sequence.stream) for m in got]
            await got[0].ack_sync(timeout=20)
            await got[1].nak()
            await got[2].in_progress()
            await got[3].term()
            for m in got[4:]:
                await m.ack()
            left = {}
            while len(left) < 16:  # 15 new ones and the one that was refused, in the server's order
                for m in await sub.fetch(16 - len(left), timeout=20):
                    left[m.data.decode()] = (m.subject, m.metadata.num_delivered)
                    await m.ack_sync(timeout=20)
            yield sorted(left.items())
            info = await self.api(c, "CONSUMER.INFO.WORK.D")
            yield [info["num_pending"], info["config"]["filter_subject"], info["stream_name"]]
            with self.assertRaises(nats.errors.TimeoutError):
                await sub.fetch(1, timeout=0.2)
            yield await self.api(c, "CONSUMER.DELETE.WORK.D")
            yield await self.api(c, "CONSUMER.NAMES.WORK")
        self.alike(story)

    def test_acks_of_every_kind(self):
        async def story(c, js):
            await js.add_stream(name="W", subjects=["w"], storage="memory")
            await self.api(c, "CONSUMER.DURABLE.CREATE.W.D", {"stream_name": "W", "config": {
                "durable_name": "D", "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant", "ack_wait": 3600 * 10**9, "max_deliver": 5}})
            for i in range(6):
                await js.publish("w", str(i).encode())
            inbox = c.new_inbox()
            sub = await c.subscribe(inbox)

            async def heard():
                m = await sub.next_msg(timeout=20)
                status = (m.headers or {}).get("Status")
                return m if status is None else [status, m.headers.get("Description")]

            async def pull(**body):
                await c.publish("$JS.API.CONSUMER.MSG.NEXT.W.D", json.dumps({"batch": 1, **body}).encode(), reply=inbox)
                return await heard()

            async def done(m, how):
                return (await c.request(m.reply, how, timeout=20)).data.decode()

            def shown(m):
                return [m.subject, m.data.decode(), m.metadata.num_delivered, m.metadata.stream, m.metadata.consumer]
            m = await pull()
            yield [shown(m), await done(m, b"+WPI"), await done(m, b"-NAK")]
            m = await pull()
            yield [shown(m), await done(m, b'-NAK {"delay": 3600000000000}')]
            m = await pull()
            yield [shown(m), await done(m, b"+TERM")]
            m = await pull()
            yield [shown(m), await done(m, b"+ACK")]
            m = await pull()
            await c.publish(m.reply, b"+NXT", reply=inbox)
            n = await heard()
            await c.publish(n.reply, b'+NXT {"batch":2,"no_wait":true}', reply=inbox)
            yield [shown(m), shown(n), *[shown(x) if not isinstance(x, list) else x for x in (await heard(), await heard())]]
            yield [await pull(no_wait=True), await pull(expires=1_000_000)]
            yield {k: v for k, v in (await self.api(c, "CONSUMER.INFO.W.D")).items() if k in ("num_ack_pending", "num_pending", "num_redelivered")}
        self.alike(story)

    def test_consumers_push(self):
        async def story(c, js):
            await js.add_stream(name="WORK", subjects=["work.>"], storage="memory")
            for i in range(10):
                await js.publish("work.x", str(i).encode(), headers={"n": str(i)})
            push = await js.subscribe("work.>", durable="P", idle_heartbeat=5, flow_control=True)
            got = [await push.next_msg(timeout=20) for _ in range(10)]
            yield [(m.subject, m.data.decode(), m.headers, m.metadata.stream) for m in got]
            for m in got:
                await m.ack()
            info = await self.api(c, "CONSUMER.INFO.WORK.P")
            self.assertTrue(info["config"]["deliver_subject"].startswith("_INBOX."), info)
            self.assertTrue(info["push_bound"], info)
            await push.unsubscribe()
            await js.delete_consumer("WORK", "P")
            ordered = await js.subscribe("work.x", ordered_consumer=True)
            yield [(await ordered.next_msg(timeout=20)).data.decode() for _ in range(10)]
            await ordered.unsubscribe()
            group = [await js.subscribe("work.x", "workers", durable="workers", cb=None) for _ in range(2)]
            heard = set()
            async def take(sub):
                while len(heard) < 10:
                    try:
                        m = await sub.next_msg(timeout=0.2)
                    except nats.errors.TimeoutError:
                        continue
                    heard.add(m.data.decode())
                    await m.ack()
            await asyncio.gather(*(take(s) for s in group))
            yield sorted(heard)
            info = await self.api(c, "CONSUMER.INFO.WORK.workers")
            yield info["config"]["deliver_group"]
        self.alike(story)

    def test_heartbeats_and_flow_control_pass(self):
        async def story(c, js):
            await js.add_stream(name="FLOW", subjects=["flow"], storage="memory")
            inbox = c.new_inbox()
            sub = await c.subscribe(inbox)
            await self.api(c, "CONSUMER.CREATE.FLOW", {
                "stream_name": "FLOW", "config": {"deliver_subject": inbox, "ack_policy": "none", "flow_control": True, "idle_heartbeat": 100_000_000,
                                                  "deliver_policy": "all", "replay_policy": "instant"}})
            for _ in range(300):
                await c.publish("flow", b"x" * 2000)
            heard, asked, beats = 0, 0, 0
            while heard < 300 or not beats:
                m = await sub.next_msg(timeout=20)
                status = m.headers.get("Status") if m.headers else None
                if status == "100" or (m.headers and not m.data and not m.reply.startswith("$JS.ACK")):
                    if m.reply:
                        self.assertRegex(m.reply, r"^\$JS\.FC\.FLOW\.")
                        asked += 1
                        await m.respond(b"")
                    else:
                        beats += 1
                    stalled = m.headers.get("Nats-Consumer-Stalled") if m.headers else None
                    if stalled:
                        self.assertRegex(stalled, r"^\$JS\.FC\.FLOW\.")
                        await c.publish(stalled, b"")
                else:
                    self.assertEqual("flow", m.subject)
                    heard += 1
            yield [heard, asked > 0]
        self.alike(story)


for inherited in vars(jetstream.JetStream):  # they run by themselves
    if inherited.startswith("test_"):
        setattr(Consumers, inherited, None)

if __name__ == "__main__":
    unittest.main(verbosity=2)
