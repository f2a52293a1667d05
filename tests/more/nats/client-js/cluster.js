// SPDX-License-Identifier: Apache-2.0
// cluster.js HOST:PORT,... [SUFFIX]: three replicas of everything, told line by line on standard input what to do
// next: "make", "use N", "heard N". One connection lives through all of it; a watch and an ordered consumer that end
// are begun again, as an application would.
import { createInterface } from "node:readline";
import { connect } from "@nats-io/transport-node";
import { jetstream, jetstreamManager, AckPolicy } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";

// The same patience as in the other languages: of one try, and of all.
const ONE_TRY = 5000, ALL_TRIES = 150000;
const [servers, suffix = ""] = process.argv.slice(2);
const nc = await connect({ servers: servers.split(","), maxReconnectAttempts: -1, reconnectTimeWait: 200, timeout: 20000 });
const jsm = await jetstreamManager(nc, { timeout: ONE_TRY, checkAPI: false });
const js = jetstream(nc, { timeout: ONE_TRY });
const heard = new Set(), watched = new Set(), pulled = new Set();
const orders = "ORDERS" + suffix, subject = (n) => `orders${suffix}.${n}`;
const object = (n) => new Uint8Array(300000).fill(n + 48);
let kv, store, consumer;

const pause = (ms) => new Promise((go) => setTimeout(go, ms));
const within = (promise) => {
  let timer;
  const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error("no answer")), 2 * ONE_TRY)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
// Until it works: while leaders are elected, servers say no, or nothing.
const until = async (what, f) => {
  let last;
  for (const end = Date.now() + ALL_TRIES; Date.now() < end; await pause(100)) {
    try {
      return await within(f());
    } catch (e) {
      last = e;
    }
  }
  console.log("never", what, `${last}`);
  process.exit(1);
};
const same = (got, want) => {
  if (got !== want) throw new Error(`got ${got}`);
};
const forever = async (begin, take) => {
  for (;; await pause(100)) {
    try {
      for await (const x of await begin()) take(x);
    } catch { /* begun again */ }
  }
};
const pull = async () => {
  const m = await consumer.next({ expires: 2000 });
  if (m === null) throw new Error("none");
  if (!(await m.ackAck())) throw new Error("not acknowledged");
  pulled.add(m.subject.split(".")[1]);
};

const commands = {
  async make() {
    await until("stream", () => jsm.streams.add({ name: orders, subjects: [`orders${suffix}.>`], num_replicas: 3 }));
    await until("consumer", () => jsm.consumers.add(orders, { durable_name: "D", ack_policy: AckPolicy.Explicit, ack_wait: ONE_TRY * 1e6 }));
    consumer = await until("consumer", () => js.consumers.get(orders, "D"));
    kv = await until("bucket", () => new Kvm(js).create("config" + suffix, { history: 3, replicas: 3 }));
    store = await until("store", () => new Objm(js).create("files" + suffix, { replicas: 3 }));
    forever(async () => (await js.consumers.get(orders)).consume(), (m) => heard.add(m.subject.split(".")[1]));
    forever(() => kv.watch(), (e) => watched.add(e.key.slice(1)));
  },
  async use(n) {
    await until("publish", () => js.publish(subject(n), `${n}`, { msgID: `id${n}`, timeout: ONE_TRY }));
    await until("put", () => kv.put(`k${n}`, `${n}`));
    await until("object", () => store.putBlob({ name: `o${n}` }, object(n)));
    for (let i = 0; i <= n; i++) {
      await until("message", async () => same((await jsm.streams.getMessage(orders, { last_by_subj: subject(i) })).string(), `${i}`));
      await until("value", async () => same((await kv.get(`k${i}`)).string(), `${i}`));
    }
    await until("pull", pull);
  },
  async heard(n) {
    for (let i = 0; i <= n; i++)
      await until("object back", async () => same(Buffer.compare(await store.getBlob(`o${i}`), object(i)), 0));
    await until("all", async () => {
      if (pulled.size <= n) await pull();
      if (Math.min(heard.size, watched.size, pulled.size) <= n) throw new Error(`heard ${[...heard]} watched ${[...watched]} pulled ${[...pulled]}`);
    });
    const messages = await until("count", async () => (await jsm.streams.info(orders)).state.messages);
    const list = (set) => [...set].sort().join(" ");
    return `heard ${list(heard)} watched ${list(watched)} pulled ${list(pulled)} messages ${messages}`;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [what, n = 0] = line.split(" ");
  console.log((await commands[what](Number(n))) ?? `${what} ${n}`);
}
process.exit(0);
