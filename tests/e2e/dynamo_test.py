# SPDX-License-Identifier: Apache-2.0
"""Dynamo's own runtime: a server and a client of one tenant find each other through sidecars, another
tenant's client with the same endpoint name finds nobody; and the same under `bulkhead run`."""

import json
import os
import unittest

import cases
import stack as real

HELLO = os.path.join(os.path.dirname(os.path.realpath(__file__)), "dynamo_hello.py")
ABSENT_S = "2"  # how long a client looks for instances that must not be found


def python():
    path = os.environ.get("DYNAMO_PYTHON", "")
    if not os.access(path, os.X_OK):
        raise SystemExit("Dynamo's runtime is missing: scripts/test installs it (tests/e2e/requirements-dynamo.txt)")
    return path


def settings(etcd, nats):
    return {"ETCD_ENDPOINTS": etcd, "NATS_SERVER": nats, "DYN_DISCOVERY_BACKEND": "etcd", "DYN_REQUEST_PLANE": "nats",
            "DYN_EVENT_PLANE": "nats", "HF_HUB_OFFLINE": "1"}


class Dynamo(cases.Shared):
    view = "subtree"
    def registered(self, namespace=b""):
        """Stored keys of serving instances, of everybody or of one namespace."""
        return [k for k in cases.check_stored_keys(self.etcd)
                if b"v1/instances/dynamo/backend/generate/" in k and k.startswith(b"bh/d/" + namespace)]

    def serve(self, name, argv, env):
        server = self.stack.process(name, [*argv, python(), "-B", HELLO, "serve", name], env=env)
        before = len(self.registered())
        server.until(lambda: len(self.registered()) > before, f"{name} registers")
        return server

    def ask(self, argv, env, seconds, text):
        done = real.run([*argv, python(), "-B", HELLO, "ask", seconds, text], env=env, timeout=90)
        self.assertEqual(0, done.returncode, done.stderr[-2000:])
        return [line for line in done.stdout.splitlines() if line.startswith(("got", "no instances")) or "instances" in line]

    def hello(self, who, text):
        return ["1 instances", "got hello", f"got {text}", "got from", f"got {who}"]

    def test_1_sidecars(self):
        env_a, env_b = (settings(s.etcd_url, s.nats_url) for s in (self.a, self.b))
        listening = cases.Listening(self)
        server = self.serve("server-a", [], env_a)
        self.assertTrue(all(k.startswith(b"bh/d/a.v1/instances/") for k in self.registered()))
        value = real.etcdctl(self.a.etcd_url, "get", "v1/instances/", "--prefix", "--print-value-only").stdout
        self.assertEqual("dynamo", json.loads(value)["namespace"], "inside, Dynamo sees what it wrote")
        self.assertEqual(self.hello("server-a", "world"), self.ask([], env_a, "30", "world"))
        self.assertEqual(["no instances"], self.ask([], env_b, ABSENT_S, "world"))
        # Both tenants serve the same endpoint: each client sees one instance, its own.
        other = self.serve("server-b", [], env_b)
        for _ in range(3):
            self.assertEqual(self.hello("server-a", "again"), self.ask([], env_a, "30", "again"))
            self.assertEqual(self.hello("server-b", "again"), self.ask([], env_b, "30", "again"))
        # One goes: its lease with it, the other stays.
        server.stop()
        real.wait_until(lambda: len(self.registered()) == 1, "a's registration is gone with its process")
        self.assertEqual(["no instances"], self.ask([], env_a, ABSENT_S, "gone"))
        self.assertEqual(self.hello("server-b", "still"), self.ask([], env_b, "30", "still"))
        other.stop()
        real.wait_until(lambda: not self.registered(), "b's registration is gone, too")
        listening.judge(*(rf"bh\.d\.{t}\.~\.~\.~\." for t in "ab"))

    def test_2_bulkhead_run(self):
        env = settings("", "")
        del env["ETCD_ENDPOINTS"], env["NATS_SERVER"]
        def run(team):
            return [real.sidecar_binary(), "run", "--namespace", team, "--etcd-upstream", self.etcd.url, "--nats-upstream", self.nats.url, "--"]
        server = self.serve("under-run", run("team-a"), env)
        self.assertEqual(1, len(self.registered(b"team-a.v1/instances/")))
        self.assertEqual(self.hello("under-run", "world"), self.ask(run("team-a"), env, "30", "world"))
        self.assertEqual(["no instances"], self.ask(run("team-b"), env, ABSENT_S, "world"))
        server.stop()
        real.wait_until(lambda: not self.registered(b"team-a."), "the registration is gone")


if __name__ == "__main__":
    unittest.main(verbosity=2)
