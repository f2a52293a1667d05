# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart in pods, captured by each tier of design.md 6: two tenants with the
same key and the same subject, and nothing crosses."""

import unittest

import pods
import stack as real

INTERCEPT = ("--intercept-listen", "127.0.0.1:15379,[::1]:15379")


class App:
    """The application container of a pod: commands as they would stand in an image, with the variables
    that an injector sets; $ETCD and $NATS are what the image knows of the stores."""

    def __init__(self, pod, etcd, nats, variables=None):
        self.pod = pod
        self.env = {"ETCD": etcd, "NATS": nats, "ETCDCTL_API": "3", **(variables or {})}

    def words(self, line):
        for name in ("etcdctl", "nats_client"):
            line = line.replace(name + " ", self.pod.program(name) + " ")
        return ["sh", "-c", "exec " + line]

    def do(self, line):
        done = self.pod.run("app", self.words(line), env=self.env)
        return (done.stdout + done.stderr).strip()

    def start(self, line, until):
        process = self.pod.start("app", self.words(line), env=self.env)
        if until:
            process.until(lambda: until in process.out(), f"{line}: {until}")
        return process


class Tiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pods.need_namespaces()

    def setUp(self):
        self.stack = real.Stack("tiers")
        self.addCleanup(self.stack.close)
        self.cluster = pods.Cluster(self.stack)

    def keys(self, a, b, to):
        for who, app in (("A", a), ("B", b)):
            self.assertEqual("OK", app.do(f'etcdctl {to} put models/llama "weights of {who}"'))
        for who, app in (("A", a), ("B", b)):
            self.assertEqual(f"models/llama\nweights of {who}", app.do(f'etcdctl {to} get --prefix ""'))
        ear = a.start(f'etcdctl {to} watch --prefix ""', None)
        ear.until(lambda: a.do(f"etcdctl {to} put begin 1") == "OK" and "begin" in ear.out(), "the watch begins")
        self.assertEqual("OK", b.do(f'etcdctl {to} put secret "of B"'))
        self.assertEqual("OK", a.do(f'etcdctl {to} put plan "of A"'))
        ear.until(lambda: "of A" in ear.out(), "the watch sees A's put")
        self.assertNotIn("secret", ear.out())
        ear.stop()
        self.assertRegex(a.do(f"etcdctl {to} lease grant 60"), "^lease .* granted")
        self.assertEqual("found 0 leases", b.do(f"etcdctl {to} lease list"))

    def messages(self, a, b, url):
        ear = a.start(f"nats_client {url} sub '>' 1", "listening")
        self.assertEqual("published", b.do(f'nats_client {url} pub work "for the workers of B"'))
        self.assertEqual("published", a.do(f'nats_client {url} pub work "for the workers of A"'))
        real.wait_until(lambda: not ear.running(), "A hears something")
        self.assertEqual(["work: for the workers of A"], [l for l in ear.out().splitlines() if "listening" not in l])
        service = a.start(f'nats_client {url} reply help "A at your service"', "listening")
        self.assertEqual("no responders", b.do(f"nats_client {url} request help please"))
        self.assertEqual("A at your service", a.do(f"nats_client {url} request help please"))
        service.stop()

    def story(self, a, b, to, url):
        self.keys(a, b, to)
        self.messages(a, b, url)
        stored = self.cluster.stored()
        for key in ("bh/d/a.models/llama", "bh/d/b.models/llama", "bh/d/a.plan", "bh/d/b.secret"):
            self.assertIn(key, stored)
        self.assertEqual([], [k for k in stored if not k.startswith("bh/")])

    def test_a_loopback(self):
        """Nothing is configured in the application."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.sidecar()
            apps.append(App(pod, "", "nats://localhost:4222"))
        self.story(*apps, "", "$NATS")

    def test_b_environment(self):
        """An injector has set the variables, to ports that are not the usual ones."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.sidecar("--etcd-listen", "127.0.0.1:12379", "--nats-listen", "127.0.0.1:14222")
            apps.append(App(pod, "", "", {"ETCDCTL_ENDPOINTS": "127.0.0.1:12379", "NATS_SERVER": "nats://127.0.0.1:14222"}))
        self.story(*apps, "", "$NATS_SERVER")

    def test_c_host_names(self):
        """The stores' names are baked into the image; hostAliases lead them to the sidecar."""
        apps = []
        for name in ("a", "b"):
            pod = self.cluster.pod(name, "127.0.0.1 localhost\n127.0.0.1 etcd.stores.svc nats.stores.svc\n")
            pod.sidecar()
            apps.append(App(pod, "http://etcd.stores.svc:2379", "nats://nats.stores.svc:4222"))
        self.story(*apps, "--endpoints $ETCD", "$NATS")

    def test_d_redirect(self):
        """The stores' addresses are baked in; one tenant dials IPv4, the other IPv6."""
        apps, sidecars = [], []
        for name in ("a", "b"):
            pod = self.cluster.pod(name)
            pod.redirect("--enforce")
            sidecars.append(pod.sidecar(*INTERCEPT))
            host = pod.store if name == "a" else f"[{pod.store6}]"
            apps.append(App(pod, f"http://{host}:2379", f"nats://{host}:4222"))
        self.story(*apps, "--endpoints $ETCD", "$NATS")
        for sidecar in sidecars:
            for plane in ("etcd", "nats"):
                self.assertGreater(sidecar.metric(f'bulkhead_intercepted_total{{plane="{plane}"}}'), 0)
            self.assertEqual(0, sidecar.metric("bulkhead_intercept_refused_total"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
