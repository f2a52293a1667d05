# SPDX-License-Identifier: Apache-2.0
"""nats.go, NATS's clients for JavaScript and async-nats on a cluster of three whose members are killed and come back:
the leader of the stream, the member that serves the clients, the leader of the bucket. Each keeps one connection, a
watch and an ordered consumer through all of it, and tries again what fails. First without a sidecar, side by side under
names of their own; then as three tenants, two of them parent and child, under the same names. What is asked of both is
the same: everything that was acknowledged is there, once, and everybody has heard all of it."""

import os
import unittest

import nats_cluster_test as cluster
import stack as real

MORE = os.environ["MORE"]
PATIENCE_S = 400  # of one command: up to its own 150 s for whatever does not work at once
CLIENTS = {
    "go": lambda url, suffix: [os.path.join(MORE, "nats/client-go/client-go"), url, "cluster", suffix],
    "javascript": lambda url, suffix: ["node", os.path.join(MORE, "nats/client-js/cluster.js"), url, suffix],
    "rust": lambda url, suffix: [os.path.join(MORE, "nats/client-rust/target/debug/client-rust"), url, "cluster", suffix],
}
NAMESPACES = {"go": "a", "javascript": "a/b", "rust": "b"}
SERVERS = {v: os.path.join(MORE, "nats", "server-" + v, "nats-server") for v in ("2.10", "2.12")}
STREAMS = ("ORDERS", "KV_config", "OBJ_files")
KILLS = 3


def expected():
    lines = ["make 0", "use 0"]
    for n in range(KILLS + 1):
        numbers = " ".join(str(i) for i in range(n + 1))
        lines += [f"use {n}"] * (n > 0) + [f"heard {numbers} watched {numbers} pulled {numbers} messages {n + 1}"]
    return lines


class ClientsOnACluster(unittest.TestCase):
    maxDiff = None

    def everybody(self, line):
        for program in self.programs.values():
            program.tell(line)
        for who, program in self.programs.items():
            self.said[who].append(program.answer(PATIENCE_S))

    def leader(self, of):
        """The member that leads a stream of go's."""
        app, suffix = self.apps["go"]
        name = app.until("STREAM.INFO." + STREAMS[of] + suffix, None, lambda a: a.get("cluster", {}).get("leader"), "a leader")["cluster"]["leader"]
        return int(name[1:])

    def serving(self):
        """The member that a new connection meets."""
        app, _ = self.apps["go"]
        app.close()
        app.until("INFO", None, lambda a: True, "an answer")
        return int(app.raw.info["server_name"][1:])

    def are_current(self):
        for app, suffix in self.apps.values():
            for stream in STREAMS:
                app.until("STREAM.INFO." + stream + suffix, None, lambda a: [r.get("current") for r in a.get("cluster", {}).get("replicas", [])]
                          == [True, True], f"all members of {stream}{suffix} are current", 120)

    def story(self, stack, three, places):
        """places: who: (address, suffix of names)."""
        self.apps = {who: (cluster.App(url.split(",")[0].split("//")[-1]), suffix) for who, (url, suffix) in places.items()}
        self.programs = {who: stack.lines(who, CLIENTS[who](url, suffix)) for who, (url, suffix) in places.items()}
        self.said = {who: [] for who in places}
        for line in ("make", "use 0", "heard 0"):
            self.everybody(line)
        for n, victim in enumerate((lambda: self.leader(0), self.serving, lambda: self.leader(1)), 1):
            number = victim()
            print(f"n{number} is killed", flush=True)
            three.kill(number)
            self.everybody(f"use {n}")
            three.revive(number)
            self.are_current()
            self.everybody(f"heard {n}")
        for app, _ in self.apps.values():
            app.close()
        for who, said in self.said.items():
            with self.subTest(who):
                self.assertEqual(expected(), said)

    def run_on(self, server):
        os.environ["E2E_NATS_SERVER"] = server
        with self.subTest("without a sidecar"), real.Stack("direct") as stack:
            three = cluster.Cluster(stack)
            self.story(stack, three, {who: (three.url(0, 1, 2), "-" + who) for who in CLIENTS})
        with self.subTest("tenants"), real.Stack("tenants") as stack:
            three = cluster.Cluster(stack)
            self.story(stack, three, {who: (stack.sidecar(n, nats=three.url(0, 1, 2), args=("--view", "own")).nats_url, "")
                                      for who, n in NAMESPACES.items()})


for label, path in SERVERS.items():
    setattr(ClientsOnACluster, "test_on_" + label, lambda self, path=path: self.run_on(path))

if __name__ == "__main__":
    unittest.main(verbosity=2)
