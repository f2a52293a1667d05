# SPDX-License-Identifier: Apache-2.0
"""The session in docs/namespaces.md is what happens: each command is run, and its output compared."""

import os
import re
import unittest

import stack as real

PAGE = os.path.join(real.ROOT, "docs", "namespaces.md")


class Page(unittest.TestCase):
    maxDiff = None

    def test_each_command_says_what_the_page_says(self):
        with open(PAGE) as f:
            block = re.search(r"```console\n(.*?)```", f.read(), re.S)[1]
        with real.Stack("namespaces") as stack:
            etcd = stack.etcd()
            os.symlink(real.sidecar_binary(), stack.path("bulkhead"))
            commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)
            script = "".join(f"echo '$ '{i}\n{command}\n" for i, (command, _) in enumerate(commands))
            script = script.replace("127.0.0.1:2379", etcd.addr)
            path = stack.directory + ":" + os.path.dirname(real.find_program("etcdctl")) + ":" + os.environ["PATH"]
            done = real.run(["/bin/bash", "-c", script], env={"PATH": path})
        told = re.findall(r"^\$ \d+\n((?:(?!\$ ).*\n)*)", done.stdout, re.M)
        self.assertEqual(len(commands), len(told), done.stderr)

        def plain(said):
            return re.sub("lease tag [0-9a-f]{6}", "lease tag", said.lstrip("\n"))  # etcdctl ends each of --keys-only with an empty line
        self.assertEqual([(c, plain(said)) for c, said in commands], [(c, plain(t)) for (c, _), t in zip(commands, told)], done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
