# SPDX-License-Identifier: Apache-2.0
"""The corpus' patches by the API server's own applier and by Python's: equal, and both apply."""
import base64
import copy
import json
import os
import subprocess
import unittest

import jsonpatch

from inject_corpus_test import CONFIGS
from inject_pods import Injector, corpus
from stack import Stack


class Appliers(unittest.TestCase):
    def test_patches_mean_the_same(self):
        program = os.path.join(os.environ["MORE_BIN"], "bulkheadpatch")
        with Stack() as stack:
            for name, config in CONFIGS.items():
                injector = Injector(name, stack.directory, config)
                self.addCleanup(injector.stop)
                connection, lines, want = injector.connect(), [], []
                for pod in corpus():
                    patch = json.loads(base64.b64decode(injector.review(pod, connection=connection)["patch"]))
                    lines.append(json.dumps({"document": pod, "patch": patch}))
                    want.append(jsonpatch.apply_patch(copy.deepcopy(pod), patch))
                connection.close()
                injector.finish()
                r = subprocess.run([program], input="\n".join(lines) + "\n", text=True, capture_output=True,
                                   timeout=120, check=True)
                got = [json.loads(line) for line in r.stdout.splitlines()]
                self.assertEqual(len(got), len(want))
                for i, (g, w) in enumerate(zip(got, want, strict=True)):
                    self.assertEqual(g, w, f"{name} {i}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
