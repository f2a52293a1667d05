# SPDX-License-Identifier: Apache-2.0
"""All of tests/e2e/etcd_*_test.py, the oracle of a tree, and the tests of tests/fault that start an etcd, on each
later version of etcd, with that version's etcdctl."""

import glob
import os
import subprocess
import sys
import unittest

import stack as real

VERSIONS = ("3.5", "3.6", "3.7")
FAULT = ("etcd_auth", "etcd_plane", "etcd_resume", "etcd_upstream")  # dead tokens, lost servers
SECONDS = os.environ.get("DIFFERENTIAL_S", "20")  # a version's share of the random program


def programs(version):
    """What names that version's servers to stack.py."""
    where = os.path.join(os.environ["MORE"], "etcd", "server-" + version)
    return {"E2E_ETCD": os.path.join(where, "server"), "E2E_ETCDCTL": os.path.join(where, "etcdctl")}


class Versions(unittest.TestCase):
    def run_on(self, version):
        chosen = programs(version)
        said = subprocess.run([chosen["E2E_ETCD"], "--version"], capture_output=True, text=True, check=True)
        self.assertIn(f"etcd Version: {version}.", said.stdout)
        tests = sorted(glob.glob(os.path.join(real.ROOT, "tests", "e2e", "etcd_*_test.py")))
        tests.append(os.path.join(real.ROOT, "tests", "e2e", "view_oracle_test.py"))
        self.assertGreater(len(tests), 5)
        commands = [[sys.executable, "-B", test] for test in tests]
        where = os.path.dirname(real.sidecar_binary())
        commands += [[os.path.join(where, f"fault_{name}_test")] for name in FAULT]
        for command in commands:
            with self.subTest(version=version, test=os.path.basename(command[-1])):
                done = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, timeout=300,
                                      env={**os.environ, **chosen, "DIFFERENTIAL_S": SECONDS})
                self.assertEqual(0, done.returncode, done.stdout[-6000:])


for v in VERSIONS:
    setattr(Versions, "test_on_etcd_" + v.replace(".", "_"), lambda self, v=v: self.run_on(v))

if __name__ == "__main__":
    unittest.main(verbosity=2)
