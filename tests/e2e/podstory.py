# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart, told by the applications of two pods: the same key, the same subject,
and nothing crosses."""

import unittest

import pods
import stack as real


class App:
    """The application container of a pod: commands as they would stand in an image, with the variables
    that an injector sets; $ETCD and $NATS are what the image knows of the stores."""

    def __init__(self, pod, etcd, nats, variables=None, role="app"):
        self.pod, self.role = pod, role
        self.env = {"ETCD": etcd, "NATS": nats, "ETCDCTL_API": "3", **(variables or {})}

    def words(self, line):
        for name, more in (("etcdctl", real.ETCDCTL_PATIENCE + " "), ("nats_client", "")):
            line = line.replace(name + " ", f"{self.pod.program(name)} {more}")
        return ["sh", "-c", "exec " + line]

    def do(self, line):
        done = self.pod.run(self.role, self.words(line), env=self.env)
        return (done.stdout + done.stderr).strip()

    def start(self, line, until):
        process = self.pod.start(self.role, self.words(line), env=self.env)
        if until:
            process.until(lambda: until in process.out(), f"{line}: {until}")
        return process


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pods.need_namespaces()

    def setUp(self):
        self.stack = real.Stack("pods")
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
        """to: what etcdctl is told about etcd; url: of NATS; both as the application's shell knows them."""
        self.keys(a, b, to)
        self.messages(a, b, url)
        stored = self.cluster.stored()
        for app, keys in ((a, ("models/llama", "plan")), (b, ("models/llama", "secret"))):
            for key in keys:
                self.assertIn(f"bh/d/{app.pod.namespace}.{key}", stored)
        self.assertEqual([], [k for k in stored if not k.startswith("bh/")])
