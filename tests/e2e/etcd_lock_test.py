# SPDX-License-Identifier: Apache-2.0
"""v3lock and v3election through the sidecar: own only, with the words of a private etcd."""

import re
import unittest

import cases
import stack as real

# What differs between any two stores: the lease in a lock's key, and revisions.
OWN_LEASE = re.compile(r'(?<=/)[0-9a-f]+(?=")|(?<=" rev )\d+')

STORY = r'''
call Lock.Lock name "s" lease 7
call Lock.Lock name "" lease 7
call Lock.Lock lease 7
call Lock.Lock name "s" lease 4242
call Lock.Unlock key ""
call Lock.Unlock
call Lock.Unlock key "nothing"
call Election.Leader name "boss"
call Election.Campaign name "boss" value "one" lease 7
call Election.Leader name "boss"
call Election.Campaign name "boss" value "one, again" lease 7
call Election.Leader name "boss"
call Election.Proclaim value "nobody"
call Election.Proclaim leader { } value "nobody"
call Election.Proclaim leader { name "boss" key "boss/nothing" rev 3 lease 7 } value "nobody"
call Election.Proclaim leader { name "boss" key "boss/nothing" rev 3 } value "nobody"
call Election.Resign
call Election.Resign leader { name "boss" key "boss/nothing" rev 3 }
call Election.Resign leader { name "boss" key "boss/nothing" rev 3 lease 4242 }
call Election.Campaign value "nameless" lease 7
call Election.Leader
call KV.Range key "\x00" range_end "\x00" keys_only 1
'''


class Locks(cases.Shared):
    use_nats = False
    neighbours = ("a/child", "default")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.private = cls.stack.etcd("private")
        cls.ca, cls.cb = cls.client(cls.a), cls.client(cls.b)

    @classmethod
    def client(cls, sidecar):
        return cls.stack.etcd_client(sidecar.etcd)

    def key_of(self, answer):
        self.assertRegex(answer, r'^OK .*key "')
        return re.search(r'key "([^"]*)"', answer).group(1)

    def test_a_private_etcd_would_answer_the_same(self):
        clients = [self.stack.etcd_client(self.private.addr), self.client(self.a), self.client(self.b),
                   *[self.client(s) for s in self.around]]
        lines = ["call Lease.LeaseGrant TTL 600 ID 7", *[l for l in STORY.splitlines() if l]]
        transcripts = cases.in_turn(clients, lines)
        plain = [OWN_LEASE.sub('#', "\n".join(t)) for t in transcripts]
        for other in plain[1:]:
            self.assertEqual(plain[0], other)
        self.assertIn("requested lease not found", plain[0])
        for c in clients:
            c.ask("call Lease.LeaseRevoke ID 7")

    def test_equal_names_are_two_locks(self):
        keys = [self.key_of(c.ask('call Lock.Lock name "l"')) for c in (self.ca, self.cb)]
        for key in keys:
            self.assertRegex(key, "^l/[0-9a-f]+$")
        # Each can be told apart by its lease only; neither can let go the other's.
        second = self.client(self.a)
        second.tell('call Lock.Lock name "l"')
        waiting = lambda: self.ca.ask('call KV.Range key "l/" range_end "l0" count_only 1') == "OK count 2"
        real.wait_until(waiting, "a's second one queues")
        self.assertEqual("OK", self.cb.ask(f'call Lock.Unlock key "{keys[0]}"'))
        for raw in ("bh/d/a." + keys[0], "bh/d/a.l/"):
            self.assertEqual("OK", self.cb.ask(f'call Lock.Unlock key "{raw}"'))
        self.assertTrue(waiting())
        self.assertEqual("OK", self.ca.ask(f'call Lock.Unlock key "{keys[0]}"'))
        got = self.key_of(second.answer())
        self.assertNotEqual(keys[0], got)
        self.assertEqual("OK count 1", self.cb.ask('call KV.Range key "l/" range_end "l0" count_only 1'))
        for c, key in ((self.ca, got), (self.cb, keys[1])):
            self.assertEqual("OK", c.ask(f'call Lock.Unlock key "{key}"'))

    def test_a_lock_without_a_lease_has_a_tagged_one_of_60_s(self):
        key = self.key_of(self.ca.ask('call Lock.Lock name "tagged"'))
        lease = int(key.rpartition("/")[2], 16)
        self.assertIn(f"leases {{ ID", self.ca.ask("call Lease.LeaseLeases "))
        self.assertRegex(self.ca.ask(f"call Lease.LeaseTimeToLive ID {lease} keys 1"),
                         rf'grantedTTL 60 keys "{key}"$')
        self.assertRegex(self.cb.ask(f"call Lease.LeaseTimeToLive ID {lease} keys 1"), r"TTL -1")
        self.assertEqual("OK", self.ca.ask(f"call Lease.LeaseRevoke ID {lease}"))
        self.assertEqual("OK", self.ca.ask(f'call KV.Range key "{key}"'))

    def test_a_foreign_lease_is_a_missing_lease(self):
        done = real.etcdctl(self.a.etcd_url, "lease", "grant", "600")
        foreign = int(re.search(r"lease ([0-9a-f]+) granted", done.stdout).group(1), 16)
        for what in ('call Lock.Lock name "x" lease {}', 'call Election.Campaign name "x" lease {}'):
            missing = self.cb.ask(what.format(4242))
            self.assertIn("requested lease not found", missing)
            self.assertEqual(missing, self.cb.ask(what.format(foreign)))
        self.assertEqual("OK", self.cb.ask('call KV.Range key "x" range_end "y" count_only 1'))

    def test_an_abandoned_lock_and_campaign_leave_nothing(self):
        for method, name in (("Lock.Lock", "left"), ("Election.Campaign", "left")):
            with self.subTest(method):
                key = self.key_of(self.ca.ask(f'call {method} name "{name}"'))
                self.ca.ask("open x " + method)
                self.ca.ask(f'send x name "{name}"')
                self.ca.ask("half x")
                count = f'call KV.Range key "{name}/" range_end "{name}0" count_only 1'
                real.wait_until(lambda: self.ca.ask(count) == "OK count 2", "it queues")
                self.ca.ask("cancel x")
                self.assertRegex(self.ca.ask("status x"), "^Canceled")
                real.wait_until(lambda: self.ca.ask(count) == "OK count 1", "its key goes at once")
                self.assertEqual("OK", self.ca.ask(f'call Lock.Unlock key "{key}"'))

    def test_observe_tells_of_own_leaders(self):
        for c in (self.ca, self.cb):
            c.ask("open o Election.Observe")
            c.ask('send o name "boss"')
            c.ask("half o")
        leaders = {}
        for c, who in ((self.cb, "b"), (self.ca, "a")):
            leaders[who] = c.ask(f'call Election.Campaign name "boss" value "{who}1"')
            self.assertRegex(leaders[who], r'^OK leader \{ name "boss" key "boss/')
        for c, who in ((self.ca, "a"), (self.cb, "b")):
            self.assertRegex(c.ask("recv o"), rf'^GOT kv {{ key "boss/[0-9a-f]+" .*value "{who}1"')
            key = re.search(r'key "([^"]*)"', leaders[who]).group(1)
            rev = int(re.search(r'"modRevision":(\d+)|"mod_revision":(\d+)',
                                real.etcdctl(getattr(self, who).etcd_url, "get", key, "-w", "json").stdout).group(2))
            lease = int(key.rpartition("/")[2], 16)
            mine = f'leader {{ name "boss" key "{key}" rev {rev} lease {lease} }}'
            other = self.cb if c is self.ca else self.ca
            self.assertIn("election: not leader", other.ask(f'call Election.Proclaim {mine} value "stolen"'))
            other.ask(f"call Election.Resign {mine}")
            self.assertEqual("OK", c.ask(f'call Election.Proclaim {mine} value "{who}2"'))
            self.assertRegex(c.ask("recv o"), rf'value "{who}2"')
            self.assertEqual("OK", c.ask(f"call Election.Resign {mine}"))
            self.assertIn("election: no leader", c.ask('call Election.Leader name "boss"'))
            c.ask("cancel o")
            c.ask("status o")


if __name__ == "__main__":
    unittest.main(verbosity=2)
