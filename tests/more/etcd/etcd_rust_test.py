# SPDX-License-Identifier: Apache-2.0
"""Rust's etcd-client with all its operations, in three tenants at once, on each version of etcd."""

import os
import unittest

import cases
import stack as real
from etcd_go_test import VERSIONS, choose

PROGRAM = os.path.join(os.environ["MORE_BIN"], "client-rust", "debug", "etcd-client-rust")


class Rust(unittest.TestCase):
    def setUp(self):
        self.addCleanup(choose, None)

    def test_tenants_with_equal_names(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                choose(version)
                with real.Stack("rust") as stack:
                    store = stack.etcd()
                    tenants = [stack.sidecar(n, store, args=("--view", "own")) for n in ("a", "b", "a/child")]
                    running = [stack.process("rust", [PROGRAM, t.namespace, t.etcd_url], stdout_is_log=False)
                               for t in tenants]
                    for p in running:
                        real.wait_until(lambda: not p.running(), "the program ends", 120)
                        self.assertEqual((0, "OK\n"), (p.popen.returncode, p.out()), p.log())
                    choose(None)
                    cases.check_stored_keys(store)


if __name__ == "__main__":
    unittest.main(verbosity=2)
