# SPDX-License-Identifier: Apache-2.0
"""What a namespace may not do on a shared etcd, and that it cannot tell a foreign thing from a
missing one (design.md 4.3, 4.4, 2.6 L6)."""

import os
import re
import unittest

import cases
import stack as real

DENIED = 'PermissionDenied "etcdserver: permission denied"'
# path, message: empty unless the server would refuse it for another reason.
DENIED_CALLS = [
    ("etcdserverpb.KV/Compact", "0801"),
    *[("etcdserverpb.Cluster/" + m, "") for m in
      ("MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote")],
    ("etcdserverpb.Maintenance/Alarm", "0801"), ("etcdserverpb.Maintenance/Alarm", "0802"),
    *[("etcdserverpb.Maintenance/" + m, "") for m in
      ("Defragment", "Hash", "HashKV", "Snapshot", "MoveLeader", "Downgrade")],
    *[("etcdserverpb.Auth/" + m, "") for m in
      ("AuthEnable", "AuthDisable", "UserAdd", "UserGet", "UserList", "UserDelete",
       "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList",
       "RoleDelete", "RoleGrantPermission", "RoleRevokePermission")],
]
# Unknown to etcd too.
UNIMPLEMENTED_CALLS = [
    "v3lockpb.Lock/TryLock", "v3electionpb.Election/Nothing", "etcdserverpb.KV/Nothing", "some.Service/Method",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


class Policy(cases.Shared):
    use_nats = False
    neighbours = ("a/child", "default")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = cls.stack.etcd_client(cls.a.etcd)
        cls.cb = cls.stack.etcd_client(cls.b.etcd)

    def lease_of(self, sidecar):
        done = real.etcdctl(sidecar.etcd_url, "lease", "grant", "600")
        return int(re.search(r"lease ([0-9a-f]+) granted", done.stdout).group(1), 16)

    def test_cluster_wide_calls_are_denied(self):
        before = real.etcdctl(self.etcd.url, "member", "list").stdout
        for path, message in DENIED_CALLS:
            with self.subTest(path):
                self.assertEqual(DENIED, self.ca.ask(f"raw /{path} {message}"))
        self.assertEqual(before, real.etcdctl(self.etcd.url, "member", "list").stdout)
        self.assertIn("", real.etcdctl(self.etcd.url, "user", "list").stdout)

    def test_every_denied_method_is_tried_here(self):
        with open(os.path.join(real.ROOT, "docs", "etcd-rpcs.md")) as f:  # a unit test holds it equal to the routes
            denied = set(re.findall(r"^\| `([\w.]+/\w+)` \| [^|]* \| denied \|", f.read(), re.M))
        self.assertGreater(len(denied), 20)
        self.assertEqual(denied, {path for path, _ in DENIED_CALLS} - {"etcdserverpb.Maintenance/Alarm"})

    def test_what_this_version_does_not_serve_says_so(self):
        for path in UNIMPLEMENTED_CALLS:
            with self.subTest(path):
                self.assertRegex(self.ca.ask(f"raw /{path} "), r'^Unimplemented ".+"$')

    def test_answers_made_by_the_sidecar(self):
        self.assertEqual('FailedPrecondition "etcdserver: authentication is not enabled"',
                         self.ca.ask("raw /etcdserverpb.Auth/Authenticate 0a0161"))
        self.assertRegex(self.ca.ask("raw /etcdserverpb.Auth/AuthStatus "), "^OK ")
        self.assertEqual("OK 0801", self.ca.ask("raw /grpc.health.v1.Health/Check "))
        answer = self.ca.ask("call Cluster.MemberList ")
        self.assertEqual(1, answer.count("members {"))
        self.assertRegex(answer, r'ID [#\d]+')
        self.assertNotRegex(answer, r'ID 0\b')
        self.assertRegex(answer, r'name "[^"]+"')
        self.assertIn(f'clientURLs "http://{self.a.etcd}"', answer)
        self.assertRegex(self.ca.ask("call Maintenance.Status "), r'^OK version "3\.')
        self.assertRegex(self.ca.ask("raw /etcdserverpb.Maintenance/Alarm 0800"), "^OK ")

    def test_a_foreign_lease_is_a_missing_lease(self):
        foreign, missing = self.lease_of(self.a), self.lease_of(self.b)
        self.assertEqual("OK", self.cb.ask(f"call Lease.LeaseRevoke ID {missing}"))
        self.assertEqual("OK", self.ca.ask(f'call KV.Put key "of a" lease {foreign}'))
        for what in ("call Lease.LeaseRevoke ID {}", "call Lease.LeaseTimeToLive ID {} keys 1",
                     'call KV.Put key "k" lease {}',
                     'call KV.Txn success {{ request_txn {{ success {{ request_put {{ key "k" lease {} }} }} }} }}',
                     'call KV.Txn compare {{ target LEASE key "none" lease {} }} success {{ request_range {{ key "none" }} }}'):
            with self.subTest(what):
                self.assertEqual(self.cb.ask(what.format(missing)), self.cb.ask(what.format(foreign)))
        self.cb.ask("open k Lease.LeaseKeepAlive")
        for lease in (foreign, missing):
            self.cb.ask(f"send k ID {lease}")
            self.assertEqual("GOT ID #", self.cb.ask("recv k"))
        self.cb.ask("half k")
        self.assertEqual("OK", self.cb.ask("status k"))
        # And nothing has happened to it.
        self.assertEqual('OK kvs { key "of a" create_revision # mod_revision # version 1 lease # } count 1',
                         self.ca.ask('call KV.Range key "of a"'))
        self.assertRegex(self.ca.ask(f"call Lease.LeaseTimeToLive ID {foreign} keys 1"),
                         r'^OK ID # TTL \d+ grantedTTL 600 keys "of a"$')

    def test_an_expired_lease_is_a_missing_lease(self):
        c, missing = self.ca, 'NotFound "etcdserver: requested lease not found"'

        def chosen_here():
            c.ask("call Lease.LeaseGrant TTL 1 ID 9")
            return 9

        def chosen_there():
            done = real.etcdctl(self.a.etcd_url, "lease", "grant", "1")
            return int(re.search(r"lease ([0-9a-f]+) granted", done.stdout).group(1), 16)
        for grant in (chosen_here, chosen_there):
            with self.subTest(grant.__name__):
                leases = []  # on a slow machine one may be gone before its key is there
                real.wait_until(lambda: leases.append(grant()) or
                                c.ask(f'call KV.Put key "expires" lease {leases[-1]}') == "OK", "there is a key with a lease")
                real.wait_until(lambda: c.ask('call KV.Range key "expires"') == "OK", "the key has gone with its lease")
                lease = leases[-1]
                self.assertRegex(c.ask(f"call Lease.LeaseTimeToLive ID {lease} keys 1"), "^OK ID (9|#) TTL -1$")
                self.assertEqual(missing, c.ask(f"call Lease.LeaseRevoke ID {lease}"))
                self.assertEqual(missing, c.ask(f'call KV.Put key "expires" lease {lease}'))
                c.ask("open k Lease.LeaseKeepAlive")
                c.ask(f"send k ID {lease}")
                self.assertRegex(c.ask("recv k"), "^GOT ID (9|#)$")
                c.ask("half k")
                self.assertEqual("OK", c.ask("status k"))
        self.assertEqual("OK ID 9 TTL 60", c.ask("call Lease.LeaseGrant TTL 60 ID 9"))

    def test_lease_ids_of_other_namespaces_cannot_be_made(self):
        foreign = self.lease_of(self.a)
        for lease in (foreign, 1 << 37, (1 << 62) + 5, -1):
            with self.subTest(lease):
                self.assertRegex(self.cb.ask(f"call Lease.LeaseGrant TTL 60 ID {lease}"),
                                 '^InvalidArgument "')

    def test_equal_small_lease_ids_are_two_leases(self):
        for client in (self.ca, self.cb):
            self.assertEqual("OK ID 7 TTL 600", client.ask("call Lease.LeaseGrant TTL 600 ID 7"))
            self.assertEqual("OK", client.ask('call KV.Put key "seven" value "x" lease 7'))
        self.assertEqual("OK", self.ca.ask("call Lease.LeaseRevoke ID 7"))
        self.assertEqual("OK", self.ca.ask('call KV.Range key "seven"'))
        self.assertIn("lease 7", self.cb.ask('call KV.Range key "seven"'))
        self.assertIn("leases { ID 7 }", self.cb.ask("call Lease.LeaseLeases "))

    def test_an_order_that_does_not_exist_does_not_end_the_store(self):
        """etcd 3.4 does not look: its process ends, and a member's again each time that it reads its log."""
        refused = 'InvalidArgument "etcdserver: invalid sort option"'
        self.assertEqual("OK", self.ca.ask('call KV.Put key "sorted" value "1"'))
        for order in ("sort_target 99", "sort_target -1", "sort_order DESCEND sort_target 5", "sort_order 3", "sort_order -1"):
            with self.subTest(order):
                asked = 'key "sorted" ' + order
                self.assertEqual(refused, self.ca.ask("call KV.Range " + asked))
                for before, after in (("success { ", " }"), ("failure { ", " }"),
                                      ("success { request_txn { failure { request_txn { success { ", " } } } } }")):
                    self.assertEqual(refused, self.ca.ask(f"call KV.Txn {before}request_range {{ {asked} }}{after}"))
        for beyond in ("309f8d0630ffffffff0f", "30808080801030e380808010"):  # a number of more than 32 bits, and twice
            self.assertEqual(refused, self.ca.ask("raw /etcdserverpb.KV/Range 0a0161" + beyond))
        self.assertEqual('InvalidArgument "etcdserver: key is not provided"', self.ca.ask("call KV.Range sort_target 99"))
        self.assertTrue(self.etcd.running())
        self.assertIn("count 1", self.cb.ask('call KV.Put key "sorted"') and self.ca.ask('call KV.Range key "sorted" sort_order DESCEND sort_target VALUE'))

    def test_a_transaction_that_writes_may_not_read_at_a_revision(self):
        self.assertRegex(
            self.ca.ask('call KV.Txn success { request_put { key "x" } } failure { request_txn '
                        '{ success { request_range { key "x" revision 1 } } } }'),
            '^InvalidArgument "')
        self.assertRegex(
            self.ca.ask('call KV.Txn success { request_range { key "x" revision 999999999 } }'),
            '^OutOfRange "etcdserver: mvcc: required revision is a future revision"')

    def test_everything_watches_see_ones_own_only(self):
        """A fence: the next thing each watch shows is its own put, with the others' puts before it."""
        clients = [self.ca, self.cb] + [self.stack.etcd_client(s.etcd) for s in self.around]
        for c in clients:
            c.ask("open w Watch.Watch")
            c.ask(r'send w create_request { key "" range_end "\x00" watch_id 5 }')
            self.assertEqual("GOT watch_id 5 created 1", c.ask("recv w"))
        for n in range(5):
            for i, c in enumerate(clients):
                self.assertEqual("OK", c.ask(f'call KV.Put key "fence{n}" value "{i}"'))
            for i, c in enumerate(clients):
                self.assertRegex(c.ask("recv w"), rf'^GOT watch_id 5 events {{ kv {{ key "fence{n}" .* value "{i}" }} }}$')
        for c in clients:
            c.ask("cancel w")
            c.ask("status w")

    def test_a_range_end_that_is_there_but_empty_is_none(self):
        """etcd before 3.7 takes it for the end of the store: everybody's keys from there on."""
        for c in (self.ca, self.cb):
            for key in ("n", "o"):
                self.assertEqual("OK", c.ask(f'call KV.Put key "{key}" value "1"'))
        before = cases.stored_keys(self.etcd)
        self.assertEqual("OK", self.ca.ask("raw /etcdserverpb.KV/DeleteRange 0a016e1200")[:2])
        txn = "1207" + "1a05" + "0a016e1200"  # success { request_delete_range { key "n" range_end "" } }
        self.assertEqual("OK", self.ca.ask("raw /etcdserverpb.KV/Txn " + txn)[:2])
        self.assertEqual(sorted(set(before) - {b"bh/d/a.n"}), sorted(cases.stored_keys(self.etcd)))
        self.assertEqual("OK kvs", self.ca.ask('call KV.Range key "o"')[:6])
        self.assertRegex(self.ca.ask('call KV.Range key "o" range_end ""'), "count 1$")
        # A compare over the whole store would see b's "n".
        self.assertEqual("OK", self.ca.ask('call KV.DeleteRange key "o"')[:2])
        self.assertIn("succeeded 1", self.ca.ask('call KV.Txn compare { target VERSION key "n" range_end "" version 0 }'))

    def test_keys_beside_the_slice_stay_outside(self):
        """Written into the raw store around a's slice; the last one is the slice's own prefix."""
        for key in ("bh/d/a/child.n", "bh/d/a-", "bh/d/a-b.n", "bh/d/a0.n", "bh/d/ab.n", "bh/d.n", "bh/d/a/"):
            self.assertEqual("OK\n", real.etcdctl(self.etcd.url, "put", key, "noise").stdout)
        self.assertNotIn("noise", self.ca.ask(r'call KV.Range key "\x00" range_end "\x00"'))
        self.ca.ask(r'call KV.DeleteRange key "\x00" range_end "\x00"')
        for key in ("bh/d/a-", "bh/d/a/"):
            self.assertEqual("1\n", real.etcdctl(self.etcd.url, "del", key).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
