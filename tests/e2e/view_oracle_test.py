# SPDX-License-Identifier: Apache-2.0
"""A slow model of the whole tree (namespaces, views, keys, subjects, queue groups) says what every client
must receive; random programs on a real etcd and a real NATS, through real sidecars, are compared with
it: each answer, each event of each watch, each message.

One seed makes one tree and the programs of both planes on it. VIEW_ORACLE_SEED repeats one tree,
VIEW_ORACLE_S=1800 runs half an hour."""

import os
import random
import time
import unittest

import oracle_key_program
import oracle_subjects
import oracle_tree as trees
import seeds
import stack as real
from wirepb import every, field, pb

KEY_STEPS, SUBJECT_PROGRAMS, SUBJECT_STEPS = 240, 3, 120


class Oracle(unittest.TestCase):
    def test_every_client_receives_what_the_model_says(self):
        first = seeds.seed("VIEW_ORACLE_SEED")
        end = time.monotonic() + float(os.environ.get("VIEW_ORACLE_S", "20"))
        self.totals = dict.fromkeys(("answers", "descendants' pairs", "messages", "no responders"), 0)
        trees_done = 0
        with real.Stack("oracle") as stack:
            self.store, self.bus = stack.etcd(), stack.nats()
            while trees_done == 0 or (time.monotonic() < end and "VIEW_ORACLE_SEED" not in os.environ):
                print(f"VIEW_ORACLE_SEED={first + trees_done}", flush=True)
                self.one_tree(stack, first + trees_done)
                trees_done += 1
        print(f"{trees_done} trees: " + ", ".join(f"{n} {what}" for what, n in self.totals.items()))
        for what in ("answers", "descendants' pairs", "messages"):
            self.assertGreater(self.totals[what], 0, what)

    def one_tree(self, stack, seed):
        rng = random.Random(seed)
        tree = trees.Tree(rng)
        at = [(p, tree.start(stack, p, self.store, self.bus)) for p in tree.places]
        programs = []
        try:
            programs.append(oracle_key_program.Program(self, tree, rng, stack, self.store, at))
            programs[0].run(KEY_STEPS // 2)
            for place in tree.late:
                at.append((place, tree.start(stack, place, self.store, self.bus)))
                programs[0].joined(*at[-1])
            programs[0].run(KEY_STEPS // 2)
            for _ in range(SUBJECT_PROGRAMS):
                programs.append(oracle_subjects.Program(self, tree, rng, at))
                programs[-1].run(SUBJECT_STEPS)
                programs[-1].close()
            for program in programs:
                for what, n in program.counts().items():
                    self.totals[what] += n
        finally:
            for program in programs:
                program.close()
            for _, sidecar in at:
                sidecar.finish()
            self.wipe(stack)

    def wipe(self, stack):
        """The next tree begins on an empty store."""
        raw = oracle_key_program.Reader(-1, None, stack.etcd_client(self.store.addr, "etcd-wipe"))
        raw.call("KV/DeleteRange", pb((1, "\0"), (2, "\0")))
        for lease in every(raw.call("Lease/LeaseLeases", b"")[1], 2):
            raw.call("Lease/LeaseRevoke", pb((1, field(lease, 1))))
        raw.client.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
