# SPDX-License-Identifier: Apache-2.0
"""`etcdctl check` of each version, through a sidecar and beside it at the same time."""

import os
import re
import unittest

import stack as real
from etcd_versions_test import VERSIONS, programs

RATIO = 0.9  # of the writes a second that the load asks for; both share the machine


class Check(unittest.TestCase):
    def test_perf_is_as_good_through_the_sidecar(self):
        running = []
        for version in (None, *VERSIONS):  # None: Debian's, 3.4
            chosen = {} if version is None else programs(version)
            os.environ.update(chosen)
            stack = real.Stack("check")
            self.addCleanup(stack.close)
            etcd = stack.etcd()
            urls = (etcd.url, stack.sidecar("a", etcd).etcd_url)
            running.append((version, [stack.process(f"perf-{i}", [
                real.find_program("etcdctl"), "--endpoints", url, "check", "perf", "--load", "s"],
                env={"ETCDCTL_API": "3"}, stdout_is_log=False) for i, url in enumerate(urls)]))
            for name in chosen:
                del os.environ[name]
        for version, checks in running:
            rates = []
            for check in checks:
                check.until(lambda: "Stddev" in check.out(), "the check is over", 180)
                rates.append(int(re.search(r"Throughput (?:is|too low:) (\d+) writes/s", check.out())[1]))
            with self.subTest(version=version, rates=rates):
                self.assertGreaterEqual(rates[1], RATIO * rates[0])

    def test_datascale_wants_the_memory_of_the_server(self):
        """It reads /metrics of the store, which are an administrator's (docs/etcd-rpcs.md)."""
        with real.Stack("check") as stack:
            a = stack.sidecar("a", stack.etcd())
            done = real.etcdctl(a.etcd_url, "check", "datascale", "--load", "s")
            self.assertEqual(1, done.returncode)
            self.assertIn("process_resident_memory_bytes", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
