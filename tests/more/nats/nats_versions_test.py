# SPDX-License-Identifier: Apache-2.0
"""All of tests/e2e/nats_*_test.py on each later version of nats-server."""

import glob
import os
import subprocess
import sys
import unittest

import stack as real

VERSIONS = ("2.10", "2.11", "2.12", "2.15")
SECONDS = os.environ.get("DIFFERENTIAL_S", "20")  # a version's share of the random program


class Versions(unittest.TestCase):
    def run_on(self, version):
        server = os.path.join(os.environ["MORE"], "nats", "server-" + version, "nats-server")
        said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertIn(f"v{version}.", said)
        tests = sorted(glob.glob(os.path.join(real.ROOT, "tests", "e2e", "nats_*_test.py")))
        self.assertGreater(len(tests), 5)
        for test in tests:
            with self.subTest(version=version, test=os.path.basename(test)):
                done = subprocess.run([sys.executable, "-B", test], text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, timeout=300,
                                      env={**os.environ, "E2E_NATS_SERVER": server, "DIFFERENTIAL_S": SECONDS})
                self.assertEqual(0, done.returncode, done.stdout[-6000:])


for v in VERSIONS:
    setattr(Versions, "test_on_nats_server_" + v.replace(".", "_"), lambda self, v=v: self.run_on(v))

if __name__ == "__main__":
    unittest.main(verbosity=2)
