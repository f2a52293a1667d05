# SPDX-License-Identifier: Apache-2.0
"""`bulkhead gc` on a real etcd: it removes a namespace that is over and nothing else, whatever starts,
runs or writes meanwhile. GC_ROUNDS says how often the race is run, GC_STORM_S for how many seconds
many begin and many collect."""

import concurrent.futures
import os
import random
import re
import subprocess
import time
import unittest

import stack as real
import wirepb

ROUNDS = int(os.environ.get("GC_ROUNDS", "6"))
STORM_S, STORM_NAMES = float(os.environ.get("GC_STORM_S", "10")), 5
ENV = {k: v for k, v in os.environ.items() if not k.startswith("BULKHEAD_")}
ENTRY = "bh/m/n/a/b."


class Gc(unittest.TestCase):
    longMessage = True

    def setUp(self):
        self.stack = real.Stack(type(self).__name__)
        self.addCleanup(self.stack.close)
        self.etcd = self.stack.etcd()

    def argv(self, *args):
        return [real.sidecar_binary(), "gc", "--namespace", "a/b", "--etcd-upstream", self.etcd.url, *args]

    def gc(self, *args):
        done = subprocess.run(self.argv(*args), env=ENV, capture_output=True, text=True, timeout=90)
        return done.returncode, done.stdout.strip() + done.stderr.strip()

    def entry(self):
        return real.etcdctl(self.etcd.url, "get", "--print-value-only", ENTRY).stdout.strip()

    def tag(self):
        return real.etcdctl(self.etcd.url, "get", "--prefix", "bh/m/t/").stdout

    def sidecar(self, *args, name="a/b"):
        return self.stack.sidecar(name, self.etcd, args=args)

    def ask(self, sidecar, line):
        client = self.stack.etcd_client(sidecar.etcd)
        answer = client.ask(line)
        client.stop()
        return answer

    def put(self, sidecar, key):
        self.assertRegex(self.ask(sidecar, f'call KV.Put key "{key}" value "v"'), "^OK")

    def test_what_holds_a_namespace_is_said_and_what_is_over_goes(self):
        self.assertEqual((1, "kept: a/b: it has no entry"), self.gc())
        sidecar = self.sidecar()
        self.put(sidecar, "models/x")
        tag = self.tag()
        sidecar.finish()
        self.assertEqual((1, "kept: a/b: it is not empty (1)"), self.gc())
        sidecar = self.sidecar()
        self.assertEqual("OK deleted 1", self.ask(sidecar, 'call KV.DeleteRange key "models/x"'))
        self.assertRegex(self.ask(sidecar, "call Lease.LeaseGrant TTL 600 ID 7"), "^OK")
        sidecar.finish()
        self.assertEqual((1, "kept: a/b: leases of it are alive (1)"), self.gc())
        sidecar = self.sidecar()
        self.assertRegex(self.ask(sidecar, "call Lease.LeaseRevoke ID 7"), "^OK")
        # It runs, holds nothing, and objects, as often as it is asked.
        for _ in range(2):
            self.assertEqual((1, "kept: a/b: a sidecar is running in it, or began meanwhile"), self.gc())
            self.assertIn('"tag"', self.entry())
        self.assertEqual(tag, self.tag())
        sidecar.finish()
        status, said = self.gc("--dry-run")
        self.assertEqual(0, status, said)
        self.assertRegex(said, "^would be removed: a/b, lease tag [0-9a-f]{6}$")
        self.assertNotEqual("", self.entry())
        status, said = self.gc()
        self.assertEqual(0, status, said)
        self.assertRegex(said, "^removed: a/b, lease tag [0-9a-f]{6}$")
        self.assertEqual("", self.entry())
        self.assertNotIn("a/b", self.tag())

    def test_an_entry_that_is_removed_by_hand_is_written_again(self):
        sidecar = self.sidecar()
        self.put(sidecar, "k")
        tag = self.tag()
        real.etcdctl(self.etcd.url, "del", "--prefix", "bh/m/n/a")
        real.wait_until(self.entry, "the entry")
        self.assertEqual(tag, self.tag())

    def test_a_sidecar_that_starts_meanwhile_is_registered(self):
        parent = self.sidecar("--view", "subtree", name="a")
        outcomes = {}
        for i in range(ROUNDS):
            if not self.entry():
                first = self.sidecar()
                self.put(first, "first")
                self.assertRegex(self.ask(first, 'call KV.DeleteRange key "first"'), "^OK")
                first.finish()
            gc = subprocess.Popen(self.argv(), env=ENV, stdout=subprocess.PIPE, text=True)
            try:
                sidecar = self.sidecar()
                key = f"models/{i}"
                self.put(sidecar, key)
                self.assertIn('"tag"', self.entry(), "served without an entry")
                self.assertIn(key, self.ask(parent, f'call KV.Range key "{key}"'))
                said = gc.communicate(timeout=60)[0].strip()
            finally:
                gc.kill()
                gc.wait()
            self.assertIn('"tag"', self.entry(), said)
            self.assertIn(key, self.ask(parent, 'call KV.Range key "models/" range_end "models0"'))
            self.assertRegex(self.ask(sidecar, f'call KV.DeleteRange key "{key}"'), "^OK")
            sidecar.finish()
            outcomes[said] = outcomes.get(said, 0) + 1
        print(f"{ROUNDS} rounds: {outcomes}")

    # Many at once

    def storm_gc(self, names, end, outcomes, rng):
        while time.monotonic() < end:
            name = rng.choice(names)
            done = subprocess.run([real.sidecar_binary(), "gc", "--namespace", name, "--etcd-upstream", self.etcd.url],
                                  env=ENV, capture_output=True, text=True, timeout=90)
            what = done.stdout.split(":")[0] + done.stdout.split(":")[-1].partition("(")[0].partition(", lease")[0]
            outcomes.append(what.replace(name, "N").strip() or done.stderr.strip())

    def storm_lives(self, name, parent, end, lives):
        """Sidecars of one namespace, one after the other and two at once: while one serves, its parent knows of it."""
        stored = "bh/m/n/" + name + "."
        while time.monotonic() < end:
            number = len(lives)
            sidecars = [self.sidecar(name=name) for _ in range(1 + number % 2)]
            for i, sidecar in enumerate(sidecars):
                client, key = self.stack.etcd_client(sidecar.etcd), f"models/{name.replace('/', '-')}.{number}.{i}"
                self.assertRegex(client.ask(f'call KV.Put key "{key}" value "v"'), "^OK")
                answer = client.ask("raw /etcdserverpb.Lease/LeaseGrant " + wirepb.pb((1, 600)).hex())
                granted = wirepb.field(bytes.fromhex(answer[3:]), 2)
                for _ in range(number % 3 * 4):
                    entry = real.etcdctl(self.etcd.url, "get", "--print-value-only", stored).stdout
                    self.assertIn(f'"tag":"{granted >> 38:06x}"', entry, name)
                    self.assertIn(key, parent.ask(f'call KV.Range key "{key}"'))
                self.assertEqual("OK deleted 1", client.ask(f'call KV.DeleteRange key "{key}"'))
                self.assertRegex(client.ask("raw /etcdserverpb.Lease/LeaseRevoke " + wirepb.pb((1, granted)).hex()), "^OK")
                client.stop()
            for sidecar in sidecars:
                sidecar.finish()
            lives.append(name)
            if number % 4 == 3:  # quiet for as long as the collectors need
                real.wait_until(lambda: time.monotonic() > end or not real.etcdctl(self.etcd.url, "get", stored).stdout, "gc", 30)

    def test_no_live_namespace_vanishes_while_many_begin_and_many_collect(self):
        names = [f"a/n{i}" for i in range(STORM_NAMES)]
        at = self.sidecar("--view", "subtree", name="a")
        end, outcomes, lives = time.monotonic() + STORM_S, [], []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            parents = [self.stack.etcd_client(at.etcd) for _ in names]
            tasks = [pool.submit(self.storm_gc, names, end, outcomes, random.Random(i)) for i in range(4)]
            tasks += [pool.submit(self.storm_lives, n, p, end, lives) for n, p in zip(names, parents)]
            for task in tasks:
                task.result()
        print(f"{len(lives)} lives, " + ", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes))))
        # What is left is consistent: every entry has its tag, every tag its entry, and no tag is two's.
        entries, tags = (dict(zip(*[iter(real.etcdctl(self.etcd.url, "get", "--prefix", p).stdout.split("\n"))] * 2))
                         for p in ("bh/m/n/", "bh/m/t/"))
        self.assertEqual({(path, key[len("bh/m/t/"):]) for key, path in tags.items()},
                         {(key[len("bh/m/n/"):-1], re.search('"tag":"([0-9a-f]{6})"', value)[1]) for key, value in entries.items()})


if __name__ == "__main__":
    unittest.main()
