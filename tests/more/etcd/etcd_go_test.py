# SPDX-License-Identifier: Apache-2.0
"""etcd's Go client with all its recipes, through the sidecars of three tenants at once, on each version;
and its linearizability while sidecar and etcd are killed and stopped."""

import os
import random
import signal
import time
import unittest

import cases
import stack as real

PROGRAM = os.path.join(os.environ["MORE_BIN"], "program", "program")
VERSIONS = (None, "3.5", "3.6", "3.7")  # None: Debian's, 3.4
LINEAR_S = float(os.environ.get("LINEAR_S", "60"))


def choose(version):
    if version is None:
        os.environ.pop("E2E_ETCD", None)
    else:
        os.environ["E2E_ETCD"] = os.path.join(os.environ["MORE_BIN"], "server-" + version, "server")


class Go(unittest.TestCase):
    def setUp(self):
        self.addCleanup(choose, None)

    def program(self, *args, timeout=300):
        done = real.run([PROGRAM, *args], timeout=timeout)
        self.assertEqual((0, "OK"), (done.returncode, done.stdout.splitlines()[-1] if done.stdout else ""),
                         done.stdout + done.stderr[-3000:])
        return done.stdout

    def test_recipes_of_tenants_do_not_meet(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                choose(version)
                with real.Stack("go") as stack:
                    store = stack.etcd()
                    # Parents that see what is below, a child that runs the same recipes under the same names.
                    tenants = [stack.sidecar(n, store, args=("--view", v))
                               for n, v in (("a", "subtree"), ("a/child", "own"), ("default", "subtree"))]
                    self.program("recipes", *[t.etcd_url for t in tenants])
                    choose(None)
                    cases.check_stored_keys(store)

    def test_a_parent_does_not_wait_for_what_a_child_holds(self):
        with real.Stack("go") as stack:
            store = stack.etcd()
            child, *parents = [stack.sidecar(n, store, args=("--view", v))
                               for n, v in (("a/child", "own"), ("a", "subtree"), ("default", "subtree"))]
            holder = stack.lines("holder", [PROGRAM, "hold", child.etcd_url])
            self.assertEqual("holding", holder.answer(60))
            self.program("recipes", *[p.etcd_url for p in parents])
            holder.popen.stdin.close()
            self.assertEqual("OK", holder.answer(60))

    def test_range_stream(self):
        choose("3.7")
        with real.Stack("go") as stack:
            store = stack.etcd()
            said = self.program("stream", stack.sidecar("a", store).etcd_url)
            self.assertGreater(int(said.split()[1]), 1, "chunks")


class Linear(unittest.TestCase):
    def test_histories_are_linearizable_and_watches_whole(self):
        seed = int(os.environ.get("LINEAR_SEED", str(random.SystemRandom().randrange(1 << 32))))
        print("seed", seed, flush=True)
        rng = random.Random(seed)
        with real.Stack("linear") as stack:
            store = stack.etcd()
            listen = f"127.0.0.1:{real.free_port()}"
            args = [real.sidecar_binary(), "serve", "--namespace", "a/b", "--etcd-upstream", store.url,
                    "--etcd-listen", listen]
            def begin():
                p = stack.process("sidecar", args, stdout_is_log=False)
                p.until(lambda: "ready" in p.out(), "the ready line")
                return p
            sidecar = begin()
            program = stack.process("program", [PROGRAM, "linear", "http://" + listen, str(int(LINEAR_S))],
                                    stdout_is_log=False)
            end, done = time.monotonic() + LINEAR_S, []
            while time.monotonic() < end and program.running():
                time.sleep(rng.uniform(0.2, 3))  # the pace of the faults, not a condition
                what = rng.choice(["kill sidecar", "kill etcd", "stop sidecar", "stop etcd", "end sidecar", "end etcd"])
                done.append(what)
                victim = sidecar if what.endswith("sidecar") else store
                if what.startswith("stop"):
                    victim.send_signal(signal.SIGSTOP)
                    time.sleep(rng.uniform(0.1, 2))
                    victim.send_signal(signal.SIGCONT)
                    continue
                victim.stop(signal.SIGKILL if what.startswith("kill") else signal.SIGTERM)
                time.sleep(rng.uniform(0, 0.5))
                if victim is sidecar:
                    sidecar = begin()
                else:
                    store = stack.etcd(port=int(store.addr.split(":")[1]), data=store.data)
            real.wait_until(lambda: not program.running(), "the program has judged", 240 + LINEAR_S)
            print(program.out(), len(done), "faults", flush=True)
            self.assertEqual((0, "OK"), (program.popen.returncode, program.out().splitlines()[-1]),
                             f"seed {seed}: {done}\n{program.out()}{program.log()[-4000:]}")
            self.assertIn("\nlinearizable\n", program.out())


if __name__ == "__main__":
    unittest.main(verbosity=2)
