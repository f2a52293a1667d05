# SPDX-License-Identifier: Apache-2.0
"""Node's etcd3, in three tenants at once."""

import os
import shutil
import unittest

import cases
import stack as real


class Node(cases.Shared):
    use_nats = False
    neighbours = ("a/child",)

    def test_tenants_with_equal_names(self):
        node = shutil.which("node") or self.fail("node is not installed: apt-get install nodejs")
        program = os.path.join(real.ROOT, "tests", "more", "etcd", "node", "program.js")
        running = [self.stack.process("node", [node, program, s.namespace, s.etcd_url], stdout_is_log=False)
                   for s in (self.a, self.b, *self.around)]
        for p in running:
            real.wait_until(lambda: not p.running(), "the program ends", 120)
            self.assertEqual((0, "OK\n"), (p.popen.returncode, p.out()), p.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
