// SPDX-License-Identifier: Apache-2.0
// program.js NAME URL: Node's etcd3 in one tenant; run at the same time in others with equal names. Every
// value has the tenant's name in it.
"use strict";
const assert = require("assert");
const path = require("path");
// The packages are where the test made them, not beside this file.
const { Etcd3 } = require(require.resolve("etcd3", { paths: [path.join(process.env.MORE_BIN, "node")] }));

async function keys(c, name) {
  await c.put("k").value(name);
  await c.put("k/1").value(name);
  for (const [key, value] of Object.entries(await c.getAll().strings())) assert.ok(value.startsWith(name), `${key}: ${value}`);
  const swap = () => c.if("k", "Value", "==", name).then(c.put("k").value(name + "!")).commit();
  assert.ok((await swap()).succeeded);
  assert.ok(!(await swap()).succeeded);
  assert.strictEqual(Number((await c.delete().prefix("k")).deleted), 2);
}

async function leases(c, name) {
  const lease = c.lease(60);
  await lease.put("leased").value(name);
  await lease.keepaliveOnce();
  assert.strictEqual(await c.get("leased").string(), name);
  await lease.revoke();
  assert.strictEqual(await c.get("leased").string(), null);
}

async function watches(c, name) {
  const watcher = await c.watch().prefix("w/").create();
  const seen = [];
  const all = new Promise((resolve) => {
    watcher.on("put", (kv) => { seen.push(kv.value.toString()); if (seen.length === 20) resolve(); });
  });
  const want = [];
  for (let i = 0; i < 20; i++) {
    want.push(`${name} ${i}`);
    await c.put(`w/${i % 3}`).value(want[i]);
  }
  await all;
  assert.deepStrictEqual(seen, want);
  await watcher.cancel();
}

async function recipes(c, name) {
  await c.lock("the-lock").ttl(30).do(async () => {});
  const election = c.election("boss", 30);
  const campaign = election.campaign(name);
  await new Promise((resolve, reject) => { campaign.on("elected", resolve); campaign.on("error", reject); });
  assert.strictEqual(await election.leader(), name);
  await campaign.resign();
  await c.stm().transact(async (tx) => {
    const now = Number(await tx.get("counter").string()) || 0;
    await tx.put("counter").value(String(now + 1));
  });
  assert.strictEqual(await c.get("counter").string(), "1");
  await c.delete().key("counter");
  const scoped = c.namespace("scope/");
  await scoped.put("k").value(name);
  assert.strictEqual(await c.get("scope/k").string(), name);
}

async function main() {
  const [name, url] = process.argv.slice(2);
  const c = new Etcd3({ hosts: url });
  for (const part of [keys, leases, watches, recipes]) await part(c, name);
  c.close();
  console.log("OK");
}

main().catch((e) => { console.error(e); process.exit(1); });
