# SPDX-License-Identifier: Apache-2.0
"""Other people's clients, unmodified: one story each in Go, JavaScript and Rust, by two tenants at the same
time on one server; what it prints is what it prints on a server of its own. On Debian's server and on later ones."""

import os
import subprocess
import unittest

import stack as real

MORE = os.environ["MORE"]
CLIENTS = {
    "go": [os.path.join(MORE, "nats/client-go/client-go")],
    "javascript": ["node", os.path.join(MORE, "nats/client-js/main.js")],
    "rust": [os.path.join(MORE, "nats/client-rust/target/debug/client-rust")],
}
SERVERS = {"Debian's": None, **{v: os.path.join(MORE, "nats", "server-" + v, "nats-server") for v in ("2.10", "2.12", "2.15")}}


class Clients(unittest.TestCase):
    maxDiff = None

    def story(self, argv, urls):
        """What argv prints at each of urls, run at the same time."""
        running = [subprocess.Popen([*argv, url], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for url in urls]
        try:
            return [p.communicate(timeout=120)[0] for p in running]
        finally:
            for p in running:
                p.kill()

    def run_on(self, server):
        if server:
            os.environ["E2E_NATS_SERVER"] = server
        else:
            os.environ.pop("E2E_NATS_SERVER", None)
        with real.Stack("clients") as stack:
            private, shared = (stack.nats(n, extra=("-js", "-sd", stack.path("js-" + n))) for n in ("private", "shared"))
            # View own: in view subtree a client that asks whether a store is there before it makes it (JavaScript's)
            # is shown the child's, by view-streams.
            a, b = (stack.sidecar(n, nats=shared, args=("--view", "own")) for n in ("a", "a/b"))
            for name, argv in CLIENTS.items():
                if name == "rust" and not server:  # async-nats 0.49 cannot read 2.9's answers to key-value
                    continue
                with self.subTest(client=name, server=server):
                    (want,) = self.story(argv, [private.url])
                    self.assertIn("the end\n", want)
                    for got in self.story(argv, [a.nats_url, b.nats_url]):
                        self.assertEqual(want, got)


for label, path in SERVERS.items():
    setattr(Clients, "test_on_" + label, lambda self, path=path: self.run_on(path))

if __name__ == "__main__":
    unittest.main(verbosity=2)
