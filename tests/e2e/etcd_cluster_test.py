# SPDX-License-Identifier: Apache-2.0
"""A cluster of three members, one of which is killed, stopped, cut off or restarted, while clients work
through a sidecar that knows all three: what was acknowledged is there, watches show everything once and
in order, leases live on."""

import datetime
import re
import time
import unittest

import cluster
import rawh2
import stack as real

EVENT = re.compile(r'events \{ kv \{ [^}]*value "(\d+\.\d+)"')  # not what it was before (prev_kv)
PATIENCE_S = 90  # for one write to be taken, whatever happened
TRY_MS = 4000


class EtcdCluster(unittest.TestCase):
    def setUp(self):
        self.stack = real.Stack("cluster")
        self.addCleanup(self.stack.close)
        self.cluster = cluster.Cluster(self.stack)
        self.addCleanup(self.cluster.close)
        self.sidecar = self.stack.sidecar("a/b", self.cluster)
        self.writer = self.stack.etcd_client(self.sidecar.etcd, "writer")
        self.reader = self.stack.etcd_client(self.sidecar.etcd, "reader")
        self.next, self.acknowledged, self.shown = 0, [], []
        # On a busy machine they may elect somebody meanwhile: what fails now is tried again, as clients do.
        real.wait_until(self.watches, "a watch is created", PATIENCE_S)
        real.wait_until(lambda: self.writer.ask("call Lease.LeaseGrant TTL 60 ID 7") and
                        self.writer.ask('call KV.Put key "leased" value "x" lease 7') == "OK", "a key has a lease", PATIENCE_S)
        self.reader.ask("open alive Lease.LeaseKeepAlive")
        self.writer.ask(f"deadline {TRY_MS}")
        self.write(5)

    def watches(self):
        self.reader.ask("open w Watch.Watch")
        self.reader.ask('send w create_request { key "k" prev_kv 1 }')
        if "created 1" in self.reader.ask("recv w"):
            return True
        self.reader.ask("status w")
        return False

    def serves(self, lane):
        """The number of the member that the sidecar uses for this lane."""
        found = re.findall(r'msg="connected to etcd" peer=(\S+) lane=' + lane, self.sidecar.log())
        return self.cluster.at(found[-1])

    def write(self, n):
        """So many acknowledged writes. A value is written again, as another attempt, when a call failed."""
        for _ in range(n):
            self.next += 1
            attempt, end = 0, time.monotonic() + PATIENCE_S
            while True:
                value = f"{self.next}.{attempt}"
                answer = self.writer.ask(f'call KV.Put key "k" value "{value}"')
                if answer == "OK":
                    break
                self.assertRegex(answer, "^(Unavailable|DeadlineExceeded)")
                self.assertLess(time.monotonic(), end, f"{value} is not taken: {answer}\n{self.sidecar.tail()}")
                attempt += 1
            self.acknowledged.append(value)

    def check(self):
        """The watch has come to the last write; the lease lives; a read says the same."""
        while self.acknowledged[-1] not in self.shown:
            got = self.reader.ask("recv w", PATIENCE_S)
            self.assertTrue(got.startswith("GOT"), got)
            self.assertNotIn("created", got)
            self.assertNotIn("canceled", got)
            self.assertEqual(got.count("events {"), len(EVENT.findall(got)), got)
            self.shown += EVENT.findall(got)
        # An attempt whose call failed may be done later, when a stopped member goes on: it is somewhere, once.
        self.assertEqual(len(set(self.shown)), len(self.shown), f"each once: {self.shown}")
        self.assertEqual(self.acknowledged, [v for v in self.shown if v in set(self.acknowledged)], "all, in order")
        (read,) = re.findall(r'value "([^"]*)"', self.writer.ask('call KV.Range key "k"'))
        self.assertTrue(read == self.acknowledged[-1] or read not in self.acknowledged, read)
        self.reader.ask("send alive ID 7")
        self.assertRegex(self.reader.ask("recv alive", PATIENCE_S), r"^GOT ID 7 TTL (60|5\d)")
        self.assertIn('value "x"', self.writer.ask('call KV.Range key "leased"'))

    def test_a_leader_that_is_killed_and_restarted(self):
        for lane in ("stream", "unary"):
            victim = self.serves(lane)
            self.cluster.make_leader(victim)
            self.cluster.kill(victim)
            self.write(10)
            self.check()
            self.cluster.start(victim)
            self.cluster.wait_healthy()
            self.write(10)
            self.check()

    def test_every_member_is_restarted_in_turn(self):
        for number in range(self.cluster.N):
            self.cluster.members[number].stop()
            self.write(5)
            self.cluster.start(number)
            self.cluster.wait_healthy()
            self.write(5)
        self.check()

    def test_a_member_that_is_stopped(self):
        victim = self.serves("stream")
        if self.serves("unary") != victim:  # both lanes lose something
            self.cluster.pause(victim)
            self.write(3)
            self.check()
            self.cluster.resume(victim)
            self.cluster.wait_healthy()
        victim = self.serves("unary")
        self.cluster.make_leader(victim)
        self.cluster.pause(victim)
        self.write(5)
        self.check()
        self.assertNotEqual(victim, self.serves("unary"))
        self.cluster.resume(victim)
        self.cluster.wait_healthy()
        self.write(5)
        self.check()

    def test_a_leader_that_is_cut_off(self):
        victim = self.serves("unary")
        with_leader = rawh2.H2(self.sidecar.etcd)
        self.addCleanup(with_leader.close)
        stream = with_leader.open("/etcdserverpb.Watch/Watch", [("hasleader", "true")])
        with_leader.send(stream, rawh2.frame(bytes.fromhex("0a030a016b")))
        self.cluster.make_leader(victim)
        self.cluster.cut_off(victim)
        self.write(10)
        self.check()
        self.assertNotEqual(victim, self.serves("unary"))
        self.cluster.heal()
        self.cluster.wait_healthy()
        self.write(5)
        self.check()
        victim = self.serves("stream")
        self.cluster.make_leader(victim)
        self.cluster.cut_off(victim)
        status, text, _ = with_leader.answer(stream)  # it asked to be told
        self.assertEqual((14, "etcdserver: no leader"), (status, text))
        self.write(10)
        self.check()
        self.assertNotEqual(victim, self.serves("stream"))
        self.cluster.heal()
        self.cluster.wait_healthy()
        self.write(5)
        self.check()

    def test_a_read_of_a_watch_over_a_view_outlives_its_member(self):
        """Who held the key is gone: whose it is now is read, over a lane whose member is cut off."""
        key = "v1/mdc/k"
        self.assertEqual("OK", self.writer.ask(f'call KV.Put key "{key}" value "of the child"'))
        self.sidecar = self.stack.sidecar("a", self.cluster, args=("--view", "subtree"))
        parent = self.stack.etcd_client(self.sidecar.etcd, "parent")
        self.assertEqual("OK", parent.ask(f'call KV.Put key "{key}" value "of the parent"'))
        parent.ask("open w Watch.Watch")
        parent.ask(f'send w create_request {{ key "{key}" }}')
        self.assertIn("created 1", parent.ask("recv w"))
        victim = self.serves("unary")
        other = next(m for m in self.cluster.members if m.number != victim)
        self.cluster.make_leader(other.number)
        self.cluster.cut_off(victim)
        self.assertEqual(0, real.etcdctl(other.url, "del", "bh/d/a." + key, timeout=60).returncode)
        got = parent.ask("recv w", PATIENCE_S)
        self.assertTrue(got.startswith("GOT events"), f"{got}\n{self.sidecar.tail()}")
        self.assertIn('value "of the child"', got)
        self.assertNotEqual(victim, self.serves("unary"))

    def connected(self, lane):
        """When the sidecar connected, in seconds."""
        found = re.findall(r'time=(\S+) \S+ msg="connected to etcd" peer=\S+ lane=' + lane, self.sidecar.log())
        return [datetime.datetime.fromisoformat(t).timestamp() for t in found]

    def test_no_member_has_a_leader(self):
        """The watch moves once through all, and then ever more seldom; it goes on when there is a leader again."""
        before = len(self.connected("stream"))
        self.cluster.cut_all()
        moves = self.cluster.N + 2
        real.wait_until(lambda: len(self.connected("stream")) >= before + moves, f"{moves} moves", PATIENCE_S)
        *_, earlier, later = self.connected("stream")[:before + moves]
        self.assertGreater(later - earlier, 2, self.sidecar.tail())  # LIMIT_UPSTREAM_DISTRUST_MS, doubled
        self.cluster.heal()
        self.cluster.wait_healthy()
        self.write(5)
        self.check()

    def test_a_member_that_is_cut_off_and_only_read_from(self):
        """It answers serializable reads alone; nothing fails, and yet it is left."""
        victim = self.serves("unary")
        self.cluster.cut_off(victim)
        read = 'call KV.Range key "k" serializable 1'
        real.wait_until(lambda: self.writer.ask(read).startswith("OK kvs") and self.serves("unary") != victim,
                        "the sidecar uses another member", PATIENCE_S)
        self.write(3)
        self.check()
        self.assertNotEqual(victim, self.serves("stream"))
        self.cluster.heal()
        self.cluster.wait_healthy()
        self.write(3)
        self.check()


if __name__ == "__main__":
    unittest.main(verbosity=2)
