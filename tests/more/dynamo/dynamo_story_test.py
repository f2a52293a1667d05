# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart --dynamo holds: every claim of it is checked there, by real Dynamo of two
eras; the picture of who talked to whom stays in the build folder."""

import os
import unittest

import stack as real

STORY = os.path.join(real.ROOT, "scripts", "dynamo_story.py")


class DynamoStory(unittest.TestCase):
    def test_every_claim_holds(self):
        svg = os.path.join(real.ROOT, "build", "more", "dynamo", "dynamo.svg")
        os.makedirs(os.path.dirname(svg), exist_ok=True)
        env = {k: os.environ[k] for k in ("BULKHEAD", "NATS_CLIENT")}
        done = real.run(["/usr/bin/python3", "-B", STORY, "--once"], env={**env, "DYNAMO_SVG": svg}, timeout=800)
        print(done.stdout)
        self.assertEqual(0, done.returncode, done.stdout[-6000:] + done.stderr[-6000:])
        with open(svg) as f:
            self.assertIn("Dynamo 1.4", f.read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
