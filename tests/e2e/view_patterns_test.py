# SPDX-License-Identifier: Apache-2.0
"""view-requests and view-events must be the same in all sidecars of an installation (design.md 5.2):
whoever comes later with other lists says so, in the log and by a metric, and serves all the same."""

import unittest

import stack as real

KEY = "bh/m/view"
WARNING = "differ from those of this installation's first sidecar"
NOT_COMPARED = "cannot be compared with other sidecars'"


class Patterns(unittest.TestCase):
    def setUp(self):
        self.stack = real.Stack(type(self).__name__)
        self.addCleanup(self.stack.close)
        self.etcd, self.nats = self.stack.etcd(), self.stack.nats()

    def stored(self):
        return real.etcdctl(self.etcd.url, "get", "--print-value-only", KEY).stdout.strip()

    def gauge(self, sidecar):
        text = real.http_get(sidecar.health, "/metrics")[1]
        line = [x for x in text.splitlines() if x.startswith("bulkhead_view_patterns_mismatch ")]
        self.assertEqual(1, len(line), text)
        return int(line[0].split()[1])

    def serves(self, sidecar):
        client = self.stack.etcd_client(sidecar.etcd)
        self.assertRegex(client.ask('call KV.Put key "k" value "v"'), "^OK")

    def start(self, name, *args, **env):
        sidecar = self.stack.sidecar(name, self.etcd, self.nats, args=args, **env)
        self.serves(sidecar)
        return sidecar

    def test_a_later_sidecar_with_other_lists_warns_and_serves(self):
        first = self.start("a")
        real.wait_until(self.stored, "the first sidecar's hash")
        was = self.stored()
        self.assertRegex(was, "^[0-9a-f]{16}$")
        same = self.start("a/b", "--view-events", "namespace.>,_INBOX.>", "--view-requests", "*.*-<hex>,$SRV.>,$SRV.>",
                          "--view-streams", "mine", "--view-keys", "mine/")
        other = self.start("a/c", "--view-events", "_INBOX.>,namespace.>,mine.>")
        real.wait_until(lambda: self.gauge(other) == 1, "the mismatch")
        other.until(lambda: WARNING in other.log(), "the warning")
        requests = self.start("b", "--view-requests", "$SRV.>")
        real.wait_until(lambda: self.gauge(requests) == 1, "the mismatch")
        for sidecar in (first, same):
            self.assertEqual(0, self.gauge(sidecar))
            self.assertNotIn(WARNING, sidecar.log())
        self.assertEqual(was, self.stored())
        for sidecar in (first, same, other, requests):
            self.serves(sidecar)
            self.assertEqual(200, real.http_get(sidecar.health, "/readyz")[0])

    def test_without_nats_there_is_nothing_to_compare(self):
        self.start("a")
        real.wait_until(self.stored, "the first sidecar's hash")
        alone = self.stack.sidecar("b", self.etcd, args=("--view-events", "mine.>"))
        self.serves(alone)
        self.assertEqual(0, self.gauge(alone))

    def test_a_store_that_forbids_it_is_served_from_all_the_same(self):
        def ctl(*args):
            done = real.etcdctl(self.etcd.url, *args)
            self.assertEqual(0, done.returncode, done.stderr)
        ctl("user", "add", "root:root")
        ctl("user", "grant-role", "root", "root")
        ctl("user", "add", "pod:pod")
        ctl("role", "add", "ns")
        for at, end in (("bh/d/a.", "bh/d/a/"), ("bh/m/n/a.", "bh/m/n/a/"), ("bh/m/t/", "bh/m/t0"),
                        ("bh/m/v", "")):
            ctl("role", "grant-permission", "ns", "readwrite", at, *([end] if end else []))
        ctl("user", "grant-role", "pod", "ns")
        ctl("auth", "enable")
        sidecar = self.start("a", "--etcd-user", "pod", env={"BULKHEAD_ETCD_PASSWORD": "pod"})
        sidecar.until(lambda: NOT_COMPARED in sidecar.log(), "the warning")
        self.assertEqual(0, self.gauge(sidecar))
        self.assertEqual(200, real.http_get(sidecar.health, "/readyz")[0])
        self.serves(sidecar)


if __name__ == "__main__":
    unittest.main()
