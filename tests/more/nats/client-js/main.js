// SPDX-License-Identifier: Apache-2.0
// main.js HOST:PORT: core NATS, JetStream, key-value and object store by NATS's own clients for Node.js, in
// one story; what it prints holds no ids and no times.
import { connect, headers } from "@nats-io/transport-node";
import { jetstream, jetstreamManager, AckPolicy } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";

const say = (...words) => console.log(...words.map((w) => (typeof w === "string" ? w : JSON.stringify(w))));
const failing = async (what, f) => {
  try {
    await f();
    say(what, "no error");
  } catch (e) {
    say(what, e.name, e.message);
  }
};

const nc = await connect({ servers: process.argv[2], reconnect: false, timeout: 20000 });
const sub = nc.subscribe("core.*", { max: 2 });
const h = headers();
h.append("K", "v");
nc.publish("core.x", "one", { headers: h });
nc.publish("core.y", "two");
for await (const m of sub) say("core", m.subject, m.string(), m.headers?.get("K") ?? "");
nc.subscribe("work", { queue: "q", callback: (_, m) => m.respond("did " + m.string()) });
say("core", (await nc.request("work", "it", { timeout: 20000 })).string());
await failing("nobody", () => nc.request("nobody", "", { timeout: 20000 }));

const jsm = await jetstreamManager(nc, { timeout: 20000 });
const js = jetstream(nc, { timeout: 20000 });
const made = await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"], allow_direct: true });
say("stream", made.config.name, made.config.subjects);
for (let i = 0; i < 6; i++) {
  const ack = await js.publish(`orders.${i % 2}`, `${i}`, { msgID: `${i}` });
  say("ack", ack.stream, ack.seq, ack.duplicate);
}
await failing("expect", () => js.publish("orders.x", "", { expect: { streamName: "OTHER" } }));
await failing("missing", () => jsm.streams.info("NONE"));
say("last", (await jsm.direct.getMessage("ORDERS", { last_by_subj: "orders.0" })).subject);
await jsm.consumers.add("ORDERS", { durable_name: "D", ack_policy: AckPolicy.Explicit, filter_subject: "orders.1" });
const c = await js.consumers.get("ORDERS", "D");
for await (const m of await c.fetch({ max_messages: 3, expires: 20000 })) {
  say("pulled", m.subject, m.string(), m.info.stream, m.info.consumer, m.seq);
  await m.ackAck();
}
const ordered = await js.consumers.get("ORDERS");
let n = 0;
for await (const m of await ordered.consume()) {
  say("ordered", m.subject, m.seq);
  if (++n === 6) break;
}
const names = [];
for await (const s of jsm.streams.list()) names.push(s.config.name);
say("list", names.sort());
await jsm.streams.delete("ORDERS");

const kv = await new Kvm(js).create("config", { history: 3 });
say("kv", await kv.put("a.b", "1"), await kv.create("c", "2"), await kv.update("c", "3", 2));
await failing("kv create", () => kv.create("c", "x"));
const watch = await kv.watch();
for await (const e of watch) {
  say("kv watched", e.key, e.string(), e.operation);
  if (e.key === "c") break;
}
await kv.delete("a.b");
const keys = [];
for await (const k of await kv.keys()) keys.push(k);
say("kv keys", keys);
for await (const e of await kv.history({ key: "c" })) say("kv history", e.key, e.string(), e.revision);
await kv.destroy();

const os = await new Objm(js).create("files");
const info = await os.putBlob({ name: "a b" }, new Uint8Array(300000).fill(7));
say("object", info.bucket, info.name, info.size, info.chunks, info.digest);
say("object same", (await os.getBlob("a b")).every((x) => x === 7));
const link = await os.link("link", await os.info("a b"));
say("object link", link.options.link);
say("object through a link", (await os.getBlob("link")).length);
// A whole store is linked, too, and an object of another one is read through its link.
const other = await new Objm(js).create("other");
await other.putBlob({ name: "there" }, new Uint8Array(10).fill(8));
say("object of another store", (await os.link("far", await other.info("there"))).options.link, [...(await os.getBlob("far"))]);
say("object store linked", (await os.linkStore("store", other)).options.link);
await failing("object link to nothing", () => os.link("none", { bucket: "files", name: "none", deleted: true }));
await failing("object link of a link", async () => os.link("again", await os.info("link")));
// A watch: what is there, then what happens. One change at a time: each replaces the one before it.
const seen = (await os.watch({ includeHistory: true }))[Symbol.asyncIterator]();
const watched = async () => {
  const o = (await seen.next()).value;
  say("object watched", o.name, o.size, o.deleted ?? false, o.options?.link ?? null);
};
for (let i = 0; i < 4; i++) await watched();
await os.putBlob({ name: "new" }, new Uint8Array(1));
await watched();
await os.delete("new");
await watched();
await os.link("new", await os.info("a b"));
await watched();
await seen.return?.();
say("object list", (await os.list()).map((o) => o.name).sort());
await os.delete("a b");
say("object gone", (await os.get("a b")) === null);
await failing("object through a dead link", async () => say("object through a dead link", await os.getBlob("link")));
await other.destroy();
await os.destroy();
await nc.drain();
say("the end");
