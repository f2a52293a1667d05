# SPDX-License-Identifier: Apache-2.0
"""compact, status, profile and credentials (design.md 4.3)."""

import json
import re
import unittest

import cases
import stack as real

DENIED = 'PermissionDenied "etcdserver: permission denied"'


class Rules(cases.Shared):
    use_nats = False

    def client(self, namespace, *args):
        sidecar = self.sidecar(namespace, args=args)
        return sidecar, self.stack.etcd_client(sidecar.etcd)

    def revision(self):
        return int(re.search(r'"revision":(\d+)', real.etcdctl(self.etcd.url, "get", "x", "-w", "json").stdout).group(1))

    def compacted(self, revision):
        done = real.etcdctl(self.etcd.url, "get", "x", "--rev", str(revision))
        return "compacted" in done.stderr

    def test_compact(self):
        _, c = self.client("a", "--compact", "ignore")
        for n in range(3):
            self.assertEqual("OK", c.ask(f'call KV.Put key "x" value "{n}"'))
        now = self.revision()
        self.assertEqual("OK", c.ask(f"call KV.Compact revision {now}"))
        self.assertFalse(self.compacted(now - 1))
        _, c = self.client("a", "--compact", "forward")
        self.assertEqual("OK", c.ask(f"call KV.Compact revision {now}"))
        self.assertTrue(self.compacted(now - 1))
        self.assertIn("has been compacted", c.ask(f"call KV.Compact revision {now}"))

    def test_a_masked_status_shows_no_one_elses_data(self):
        plain = self.stack.etcd_client(self.a.etcd).ask("call Maintenance.Status ")
        sidecar, c = self.client("a", "--status", "mask")
        masked = c.ask("call Maintenance.Status ")
        self.assertRegex(plain, r"dbSize [#\d]")
        self.assertNotRegex(masked, r"(raftIndex|raftAppliedIndex|errors|dbSizeInUse) (?!0\b)")
        self.assertRegex(masked, r"dbSize (#|1\b)")
        self.assertEqual(re.search(r'version "[^"]+"', plain).group(), re.search(r'version "[^"]+"', masked).group())
        done = real.etcdctl(sidecar.etcd_url, "endpoint", "status")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("true", done.stdout)  # a member that leads

    def test_the_version_is_etcds(self):
        def version():
            return json.loads(real.http_get(self.a.etcd, "/version")[1])

        direct = json.loads(real.http_get(self.etcd.addr, "/version")[1])
        real.wait_until(lambda: version()["etcdserver"] == direct["etcdserver"], f"{direct}, not {version()}")
        self.assertEqual(direct["etcdcluster"], version()["etcdcluster"])

    def test_a_trusted_application_administers_the_store(self):
        sidecar, c = self.client("a", "--profile", "trusted")
        self.assertIn("profile trusted", sidecar.log())
        metrics = real.http_get(sidecar.health, "/metrics")[1]
        self.assertIn('bulkhead_trusted{plane="etcd"} 1', metrics)
        self.assertIn('name "default"', c.ask("call Cluster.MemberList "))  # etcd's own name
        self.assertEqual(0, real.etcdctl(sidecar.etcd_url, "defrag").returncode)
        done = real.etcdctl(sidecar.etcd_url, "snapshot", "save", self.stack.path("snapshot"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(c.ask("raw /etcdserverpb.Maintenance/Alarm 080210011801"), "^OK")
        self.assertEqual("OK 0801", c.ask("raw /grpc.health.v1.Health/Check "))
        # And still lives in its slice.
        self.assertEqual("OK", c.ask('call KV.Put key "trusted" value "1"'))
        self.assertEqual("1\n", real.etcdctl(self.etcd.url, "get", "bh/d/a.trusted", "--print-value-only").stdout)

    def test_credentials_of_the_client(self):
        """On a store of its own: authentication is switched on after the sidecar's registration."""
        store = self.stack.etcd("auth")
        for args in (["user", "add", "root:r"], ["user", "grant-role", "root", "root"], ["user", "add", "u:p"],
                     ["role", "add", "ra"], ["role", "grant-permission", "ra", "readwrite", "bh/d/a.", "bh/d/a/"],
                     ["user", "grant-role", "u", "ra"]):
            real.etcdctl(store.url, *args)
        sidecar = self.stack.sidecar("a", store, None, args=("--credentials", "client"))
        plain = self.stack.sidecar("a", store, None)
        for s in (sidecar, plain):
            self.assertEqual("OK\n", real.etcdctl(s.etcd_url, "put", "k", "before").stdout)
        self.assertEqual(0, real.etcdctl(store.url, "auth", "enable").returncode)
        done = real.etcdctl(sidecar.etcd_url, "--user", "u:p", "put", "k", "mine")
        self.assertEqual("OK\n", done.stdout, done.stderr)
        self.assertIn("user name is empty", real.etcdctl(sidecar.etcd_url, "put", "k", "nobody").stderr)
        self.assertIn("invalid user ID or password", real.etcdctl(sidecar.etcd_url, "--user", "u:q", "get", "k").stderr)
        # Without the option a client is told that there is nothing to authenticate, and nothing of it passes.
        self.assertIn("user name is empty", real.etcdctl(plain.etcd_url, "--user", "u:p", "put", "k", "x").stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
