# SPDX-License-Identifier: Apache-2.0
"""The `nats` program, unmodified, in the hands of two tenants on one server: pub, sub, req, reply, stream,
consumer, kv, object, micro, bench, latency. What it prints is what it prints on a server of one's own, after
times and ids are masked; for bench and latency it counts that they come to their end. And on a cluster of three
whose members are killed one after another: what was acknowledged is there."""

import json
import os
import re
import subprocess
import unittest

import nats_cluster_test as cluster
import rawnats
import stack as real

NATS = os.path.join(os.environ["MORE"], "nats/cli/nats")
SERVERS = {"Debian's": None, **{v: os.path.join(os.environ["MORE"], "nats", "server-" + v, "nats-server") for v in ("2.11", "2.12", "2.15")}}
MASKS = (
    (r"Client (ID|IP): .*", "Client"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( ?[A-Z]+|Z)?", "TIME"),
    (r"\d\d:\d\d:\d\d", "TIME"),
    (r"_INBOX\.\S+", "INBOX"),
    (r"\b\d+(\.\d+)?(ns|µs|us|ms|m|h|s)\b", "SPAN"),
    (r"\$JS\.ACK\.(\S+)\.\d{16,}\.", r"$JS.ACK.\1.T."),
    (r"\b\d+(\.\d+)? (B|KiB|MiB|B/s|KiB/s|MiB/s)(?!\S)", "SIZE"),
    (r"SHA-256=\S+|\b[A-Z2-7]{56}\b|\b[A-Za-z0-9]{22}\b", "ID"),
    (r"[ \t\xa0]+", " "),
    (r"[─━═╌-]+", "-"),
)
DROP = {"created", "ts", "first_ts", "last_ts", "cluster", "last_active", "bytes", "time", "active", "started"}

STORY = [
    "pub a.b hello",
    "pub a.b hello -H K:v --count 3",
    "stream add ORDERS --subjects orders.> --defaults",
    "stream add ORDERS --subjects other.> --defaults",
    "stream add OVER --subjects orders.1 --defaults",
    "pub orders.1 one --jetstream",
    "pub orders.2 two --jetstream",
    "req orders.1 three --raw",
    "stream ls -n",
    "stream info ORDERS --json",
    "stream subjects ORDERS --json",
    "stream get ORDERS 1 --json",
    "stream get ORDERS -S orders.2 --json",
    "stream info NONE --json",
    "consumer add ORDERS C --pull --filter orders.> --ack explicit --deliver all --defaults",
    "consumer ls ORDERS -n",
    "consumer next ORDERS C --count 2 --raw",
    "consumer info ORDERS C --json",
    "consumer rm ORDERS C -f",
    "stream rmm ORDERS 1 -f",
    "stream purge ORDERS --subject orders.2 -f",
    "stream edit ORDERS --description words -f",
    "stream state ORDERS --json",
    "stream find --subject orders.1 -n",
    "stream rm ORDERS -f",
    "stream ls -n",
    "kv add config --history 3",
    "kv put config a.b 1",
    "kv create config c 2",
    "kv create config c 2",
    "kv update config c 3 2",
    "kv get config c --raw",
    "kv get config none",
    "kv ls config",
    "kv history config c",
    "kv del config a.b -f",
    "kv ls",
    "kv ls config",
    "kv purge config c -f",
    "kv status config",
    "kv del config -f",
    "object add files",
    "object put files FILE --name big -f --no-progress",
    "object ls files",
    "object info files big",
    "object get files big -O OUT -f --no-progress",
    "object del files big -f",
    "object ls",
    "object del files -f",
    "micro ls",
    "micro info none",
    "req nobody x --raw",
    "account info",
]


def without(value):
    if isinstance(value, dict):
        return {k: without(v) for k, v in sorted(value.items()) if k not in DROP}
    return [without(v) for v in value] if isinstance(value, list) else value


def plain(text):
    try:
        return json.dumps(without(json.loads(text)), indent=1)
    except ValueError:
        pass
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


class Cli(unittest.TestCase):
    maxDiff = None

    def nats(self, url, line, stdin=None, patience=120):
        words = [w.replace("FILE", self.file).replace("OUT", self.out) for w in line.split()]
        done = real.run([NATS, "-s", url, "--timeout", "20s", *words], stdin=stdin, timeout=patience,
                        env={"HOME": self.stack.directory, "XDG_CONFIG_HOME": self.stack.directory})
        return f"{done.returncode}\n" + plain(done.stdout) + "\n" + plain(done.stderr)

    def listening(self, sidecar_url, words):
        """A nats program that has subscribed: the server says so."""
        return self.stack.process("nats-" + words[0], [NATS, "-s", sidecar_url, *words],
                                  env={"HOME": self.stack.directory, "XDG_CONFIG_HOME": self.stack.directory})

    def run_on(self, server):
        if server:
            os.environ["E2E_NATS_SERVER"] = server
        else:
            os.environ.pop("E2E_NATS_SERVER", None)
        with real.Stack("cli") as self.stack:
            private, shared = (self.stack.nats(n, extra=("-js", "-sd", self.stack.path("js-" + n))) for n in ("private", "shared"))
            a, b = (self.stack.sidecar(n, nats=shared).nats_url for n in ("a", "b"))
            self.file, self.out = self.stack.path("file"), self.stack.path("out")
            with open(self.file, "wb") as f:
                f.write(bytes(range(256)) * 2000)
            for line in STORY:
                want = self.nats(private.url, line)
                for who, url in (("a", a), ("b", b)):
                    got = self.nats(url, line)
                    with self.subTest(line=line, tenant=who):
                        if line == "account info" and server:  # asks $SYS, which a namespace may not
                            self.assertIn("Permissions Violation", got)
                            continue
                        self.assertEqual(want, got)
            with self.subTest("the object came back"), open(self.out, "rb") as out, open(self.file, "rb") as f:
                self.assertEqual(f.read(), out.read())
            self.talk(private.url, a, b)

    def talk(self, private, a, b):
        """sub, reply, bench, latency."""
        subs = [self.listening(url, ["sub", "news.>", "--count", "2", "--raw"]) for url in (a, b)]
        answering = [self.listening(url, ["reply", "svc", who]) for who, url in (("a", a), ("b", b))]
        for who, url in (("a", a), ("b", b)):
            real.wait_until(lambda: f"\n{who}" in self.nats(url, "req svc x --raw"), "an answer")
        for who, url, sub in (("a", a, subs[0]), ("b", b, subs[1])):
            def heard():
                if sub.running():
                    self.nats(url, f"pub news.x of-{who}")
                return not sub.running()
            real.wait_until(heard, "two messages")
            self.assertEqual({f"of-{who}"}, set(sub.log().split()) & {"of-a", "of-b"})
        for p in answering:
            p.stop()
        self.services(a, b)
        for url in (a, b):
            for line in ("bench pub bench.x --msgs 5000 --size 128 --no-progress",
                         "bench js pub async js.x --create --msgs 1000 --size 128 --no-progress",
                         f"latency --server-b {url} --duration 1s --rate 100"):
                with self.subTest(line=line, url=url):
                    said, want = self.nats(url, line), "0\n"
                    if not said.startswith(want):  # is this program too new for that server?
                        want = self.nats(private, line.replace(url, private))[:2]
                    self.assertEqual(want, said[:2], said)

    def services(self, a, b):
        """micro: each finds its own, under one name."""
        serving = [self.listening(url, ["micro", "serve", "shop"]) for url in (a, b)]
        for url in (a, b):
            real.wait_until(lambda: "shop" in self.nats(url, "micro ls"), "the service is there")
            found = [self.nats(url, "micro " + verb) for verb in ("ls", "ping", "info shop", "stats shop")]
            for said in found:
                self.assertTrue(said.startswith("0\n"), said)
            listed = [json.loads(real.run([NATS, "-s", url, "--timeout", "20s", "micro", verb, *rest, "--json"], timeout=60,
                                          env={"HOME": self.stack.directory, "XDG_CONFIG_HOME": self.stack.directory}).stdout)
                      for verb, rest in (("ls", ()), ("info", ("shop",)))]
            with self.subTest("one's own only", url=url):
                self.assertEqual(1, len(listed[0]), listed[0])
        for p in serving:
            p.stop()


    def until(self, url, line, *words):
        """Until the program ends well and says words: between leaders a server asks for patience, and what it began
        on a member that has died never ends."""
        said = [None]
        def once():
            try:
                said[0] = self.nats(url, line, patience=20)
            except subprocess.TimeoutExpired:
                said[0] = "no end"
            return said[0].startswith("0\n") and all(w in said[0] for w in words)
        try:
            real.wait_until(once, line, 120)
        except real.StackError as e:
            raise real.StackError(f"{e}: {said[0]}") from None

    def use(self, who, url, n):
        """Stores one more of everything, and reads all that was stored before."""
        self.until(url, f"pub orders.{n} {who}{n} --jetstream")
        self.until(url, f"kv put config k{n} {who}{n}", f"{who}{n}")
        self.until(url, f"object put files FILE-{who} --name o{n} -f --no-progress")
        for i in range(n + 1):
            self.until(url, f"stream get ORDERS -S orders.{i}", f"\n{who}{i}")
            self.until(url, f"kv get config k{i} --raw", f"{who}{i}")
        self.until(url, "consumer next ORDERS C --raw --ack", who)

    def objects(self, who, url, n):
        """With all members there: a server may give the consumer that reads to one that has died, through a sidecar or not."""
        for i in range(n + 1):
            self.until(url, f"object get files o{i} -O OUT -f --no-progress")
            with open(self.out) as out:
                self.assertEqual(who * 300000, out.read())

    def are_current(self, app, stream):
        app.until("STREAM.INFO." + stream, None, lambda a: [r.get("current") for r in a.get("cluster", {}).get("replicas", [])] == [True, True],
                  f"all members of {stream} are current", 120)

    def run_on_three(self, server):
        if server:
            os.environ["E2E_NATS_SERVER"] = server
        else:
            os.environ.pop("E2E_NATS_SERVER", None)
        with real.Stack("cli") as self.stack:
            three = cluster.Cluster(self.stack)
            tenants = {n: self.stack.sidecar(n, nats=three.url(0, 1, 2)) for n in ("a", "b")}
            apps = {n: cluster.App(s.nats) for n, s in tenants.items()}
            self.file, self.out = self.stack.path("file"), self.stack.path("out")
            for who, sidecar in tenants.items():
                self.addCleanup(apps[who].close)
                with open(f"{self.file}-{who}", "w") as f:
                    f.write(who * 300000)
                for add, there in (("stream add ORDERS --subjects orders.> --replicas 3 --defaults", "stream info ORDERS"),
                                   ("kv add config --replicas 3", "kv status config"), ("object add files --replicas 3", "object info files"),
                                   ("consumer add ORDERS C --pull --ack explicit --deliver all --defaults", "consumer info ORDERS C")):
                    real.wait_until(lambda: self.nats(sidecar.nats_url, add).startswith("0\n")
                                    or self.nats(sidecar.nats_url, there).startswith("0\n"), add, 120)
                self.use(who, sidecar.nats_url, 0)
                self.objects(who, sidecar.nats_url, 0)
            for n, victim in enumerate((0, 1, 2), 1):
                three.kill(victim)
                for who, sidecar in tenants.items():
                    self.use(who, sidecar.nats_url, n)
                three.revive(victim)
                for who, sidecar in tenants.items():
                    for stream in ("ORDERS", "KV_config", "OBJ_files"):
                        self.are_current(apps[who], stream)
                    self.objects(who, sidecar.nats_url, n)
            for sidecar in tenants.values():
                self.until(sidecar.nats_url, "stream state ORDERS --json", '"messages": 4')
                self.until(sidecar.nats_url, "stream ls -n -a", "KV_config\nOBJ_files\nORDERS\n")


for label, path in {"Debian's": None, "2.12": SERVERS["2.12"]}.items():
    setattr(Cli, "test_on_three_" + label, lambda self, path=path: self.run_on_three(path))
for label, path in SERVERS.items():
    setattr(Cli, "test_on_" + label, lambda self, path=path: self.run_on(path))

if __name__ == "__main__":
    unittest.main(verbosity=2)
