# SPDX-License-Identifier: Apache-2.0
"""nats.go in a parent reads a child's bucket and objects and finds its services; it changes nothing; a sibling
and a member with view own see nothing of it. On Debian's server and on a later one."""

import os
import subprocess
import unittest

import stack as real

CLIENT = os.path.join(os.environ["MORE"], "nats/client-go/client-go")
SERVERS = {"Debian's": None, **{v: os.path.join(os.environ["MORE"], "nats", "server-" + v, "nats-server") for v in ("2.10", "2.12", "2.15")}}

READ = """get 3 2
gone true
keys [model.a model.b]
history 1 1
history 2 2
history 3 3
watched model.a 3
watched model.b x
status 6
object 300000 {}
objects [card.json weights]
found PING model 1.0.0
found INFO model 1.0.0
found STATS model 1.0.0
asked served
"""
NOTHING = "no bucket: true\nno objects: true\nno service: true\n"


class ViewGo(unittest.TestCase):
    maxDiff = None

    def client(self, sidecar, what):
        done = subprocess.run([CLIENT, sidecar.nats_url, what], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=200)
        return done.stdout

    def run_on(self, server):
        if server:
            os.environ["E2E_NATS_SERVER"] = server
        else:
            os.environ.pop("E2E_NATS_SERVER", None)
        with real.Stack("viewgo") as stack:
            bus = stack.nats(extra=("-js", "-sd", stack.path("jetstream")))

            def sidecar(namespace, view):
                return stack.sidecar(namespace, nats=bus, args=("--view", view, "--view-streams", "KV_*,OBJ_*"))
            child = subprocess.Popen([CLIENT, sidecar("a/b", "own").nats_url, "fill"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                self.assertEqual("filled\n", child.stdout.readline())
                for namespace in ("a", "default"):
                    parent = sidecar(namespace, "subtree")
                    self.assertEqual(READ, self.client(parent, "read"), namespace)
                    changed = self.client(parent, "change").splitlines()
                    self.assertEqual(5, len(changed), changed)
                    self.assertTrue(all(line.endswith(" true") for line in changed), changed)
                    self.assertEqual(READ, self.client(parent, "read"), namespace)
                self.assertEqual(READ, self.client(sidecar("a/b", "subtree"), "read"))
                for namespace, view in (("a/c", "subtree"), ("a/b/d", "subtree"), ("z", "subtree"), ("a", "own")):
                    self.assertEqual(NOTHING, self.client(sidecar(namespace, view), "read"), (namespace, view))
            finally:
                child.communicate("\n", timeout=60)


for label, path in SERVERS.items():
    setattr(ViewGo, "test_on_" + label, lambda self, path=path: self.run_on(path))

if __name__ == "__main__":
    unittest.main(verbosity=2)
