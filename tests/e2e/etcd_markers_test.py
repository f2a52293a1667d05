# SPDX-License-Identifier: Apache-2.0
"""A store with authentication on and one user and one role a namespace, as docs/shared-stores.md says: the
sidecars work with those roles alone, and lease markers make etcd protect each namespace's leases from
whoever has another's credentials and goes around the sidecar."""

import json
import re
import unittest

import cases
import stack as real

PASSWORDS = {"a": "pw-a", "a/b": "pw-ab", "z": "pw-z"}
SECONDS = 600


def user(namespace):
    return "ns-" + namespace.replace("/", "-")


class Markers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack("markers")
        cls.addClassCleanup(cls.stack.close)
        cls.etcd = cls.stack.etcd()
        cls.root("user", "add", "root:root", auth=False)
        cls.root("user", "grant-role", "root", "root", auth=False)
        for namespace in PASSWORDS:
            cls.make_role(namespace)
        cls.root("auth", "enable", auth=False)
        cls.version = tuple(int(n) for n in re.findall(
            r"\d+", json.loads(real.http_get(cls.etcd.addr, "/version")[1])["etcdserver"])[:3])
        cls.sidecars = {n: cls.sidecar(n) for n in PASSWORDS}
        cls.clients = {n: cls.stack.etcd_client(s.etcd) for n, s in cls.sidecars.items()}

    @classmethod
    def root(cls, *args, auth=True):
        return cls.ctl("root:root" if auth else None, *args, check=True)

    @classmethod
    def ctl(cls, who, *args, check=False):
        done = real.etcdctl(cls.etcd.url, *(("--user", who) if who else ()), *args)
        if check and done.returncode != 0:
            raise real.StackError(f"etcdctl {args}: {done.stderr}")
        return done

    @classmethod
    def make_role(cls, namespace):
        """The table of docs/shared-stores.md."""
        name, p = user(namespace), "/" + namespace
        cls.root("user", "add", f"{name}:{PASSWORDS[namespace]}", auth=False)
        cls.root("role", "add", name, auth=False)
        for what, start, end in (("readwrite", f"bh/d{p}.", f"bh/d{p}/"), ("read", f"bh/d{p}/", f"bh/d{p}0"),
                                 ("readwrite", f"bh/m/n{p}.", f"bh/m/n{p}/"), ("read", f"bh/m/n{p}/", f"bh/m/n{p}0"),
                                 ("readwrite", f"bh/m/l{p}.", f"bh/m/l{p}/"),
                                 ("readwrite", "bh/m/t/", "bh/m/t0"), ("readwrite", "bh/m/v", "bh/m/w")):
            cls.root("role", "grant-permission", name, what, start, end, auth=False)
        cls.root("user", "grant-role", name, name, auth=False)

    @classmethod
    def sidecar(cls, namespace, args=(), password=None):
        return cls.stack.sidecar(namespace, cls.etcd, None, args=("--etcd-user", user(namespace), *args),
                                 env={"BULKHEAD_ETCD_PASSWORD": password or PASSWORDS[namespace]})

    def grant(self, sidecar):
        """A lease with an id of the sidecar's choice."""
        done = real.etcdctl(sidecar.etcd_url, "lease", "grant", str(SECONDS))
        return int(re.search(r"lease ([0-9a-f]+) granted", done.stdout + done.stderr).group(1), 16)

    def leases(self, namespace):
        done = real.etcdctl(self.sidecars[namespace].etcd_url, "lease", "list")
        self.assertEqual(0, done.returncode, done.stderr)
        return {int(n, 16) for n in done.stdout.split()[3:]}  # "found 2 leases"

    def markers(self):
        keys = self.root("get", "bh/m/l", "--prefix", "--keys-only").stdout.split()
        for key in keys:
            self.assertRegex(key.encode(), cases.STORED_KEY)
        return keys

    def as_user(self, namespace, *args):
        return self.ctl(f"{user(namespace)}:{PASSWORDS[namespace]}", *args)

    def test_life_of_leases_with_one_role_a_namespace(self):
        client = self.clients["a"]
        given = self.grant(self.sidecars["a"])
        for c in (client, self.clients["z"]):
            self.assertEqual(f"OK ID 7 TTL {SECONDS}", c.ask(f"call Lease.LeaseGrant TTL {SECONDS} ID 7"))
        self.assertEqual({given, 7}, self.leases("a"))
        self.assertEqual({7}, self.leases("z"))
        self.assertIn("lease already exists", client.ask("call Lease.LeaseGrant TTL 60 ID 7"))
        self.assertIn(f"bh/m/l/a.{given:016x}", self.markers())
        self.assertEqual("OK", client.ask('call KV.Put key "k" value "v" lease 7'))
        answer = client.ask("call Lease.LeaseTimeToLive ID 7 keys 1")
        self.assertRegex(answer, r'^OK ID 7 .*keys "k"$')  # and no marker
        self.assertRegex(client.ask(f'call Lock.Lock name "l" lease {given}'), "^OK key")
        self.assertRegex(client.ask('call Lock.Lock name "unleased"'), "^OK key")
        self.assertEqual(3, len(self.leases("a")))
        for lease in sorted(self.leases("a")):
            self.assertEqual("OK", client.ask(f"call Lease.LeaseRevoke ID {lease}"))
        self.assertEqual(set(), self.leases("a"))
        self.assertFalse([m for m in self.markers() if m.startswith("bh/m/l/a.")])
        self.assertEqual("OK", client.ask('call KV.Range key "k"'))
        self.assertEqual("OK", self.clients["z"].ask("call Lease.LeaseRevoke ID 7"))
        self.assertEqual(0, self.foreign("a") + self.foreign("z"))

    def foreign(self, namespace):
        text = real.http_get(self.sidecars[namespace].health, "/metrics")[1]
        return sum(float(v) for v in re.findall(r"^bulkhead_foreign_total\{[^}]*\} (\S+)$", text, re.M))

    def test_the_store_itself_protects_a_lease_without_keys(self):
        lease = self.grant(self.sidecars["a"])
        text = f"{lease:x}"
        for thief in ("z", "a/b"):
            self.assertIn("permission denied", self.as_user(thief, "lease", "revoke", text).stderr)
            stolen = f"bh/d/{thief}.mine"
            self.assertIn("permission denied", self.as_user(thief, "put", stolen, "v", "--lease", text).stderr)
        if self.version[:2] != (3, 4) and self.version >= {5: (3, 5, 28), 6: (3, 6, 9)}.get(self.version[1], (3, 7)):
            self.assertNotIn("keepalived", self.as_user("z", "lease", "keep-alive", "--once", text).stdout)
        self.assertIn(lease, self.leases("a"))
        self.assertEqual("OK", self.clients["a"].ask(f"call Lease.LeaseRevoke ID {lease}"))

    def test_without_markers_it_would_not(self):
        plain = self.sidecar("a", args=("--lease-markers", "off"))
        lease = self.grant(plain)
        self.assertEqual(0, self.as_user("z", "lease", "revoke", f"{lease:x}").returncode)

    def test_a_lease_from_before_there_were_markers_can_be_used_and_is_not_listed(self):
        lease = self.grant(self.sidecar("a", args=("--lease-markers", "off")))
        client = self.clients["a"]
        self.assertEqual("OK", client.ask(f'call KV.Put key "early" value "v" lease {lease}'))
        client.ask("open alive Lease.LeaseKeepAlive")
        client.ask(f"send alive ID {lease}")
        self.assertEqual(f"GOT ID # TTL {SECONDS}", client.ask("recv alive"))
        self.assertNotIn(lease, self.leases("a"))
        later = self.grant(self.sidecars["a"])
        self.assertIn(later, self.leases("a"))
        for granted in (lease, later):
            self.assertEqual("OK", client.ask(f"call Lease.LeaseRevoke ID {granted}"))
        self.assertEqual("OK", client.ask('call KV.Range key "early"'))

    def test_a_role_that_may_not_write_markers_is_told_and_leaves_no_lease(self):
        self.root("role", "revoke-permission", user("a/b"), "bh/m/l/a/b.", "bh/m/l/a/b/")
        try:
            before = self.root("lease", "list").stdout
            answer = self.clients["a/b"].ask(f"call Lease.LeaseGrant TTL {SECONDS}")
            self.assertEqual('FailedPrecondition "bulkhead: the sidecar\'s role in etcd may not write lease markers"', answer)
            self.assertEqual(before, self.root("lease", "list").stdout)
            self.assertIn("see --lease-markers", self.sidecars["a/b"].log())
        finally:
            self.root("role", "grant-permission", user("a/b"), "readwrite", "bh/m/l/a/b.", "bh/m/l/a/b/")
        lease = self.grant(self.sidecars["a/b"])
        self.assertEqual({lease}, self.leases("a/b"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
