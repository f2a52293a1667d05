# SPDX-License-Identifier: Apache-2.0
"""How a sidecar ends beside its application (design.md 7.5): the application's lease revocation gets
through, and a native sidecar does not wait for what never ends."""

import os
import signal
import socket
import subprocess
import sys
import time
import unittest

import cases
import stack as real

# An application with a lease, as Dynamo's runtime has one: told to end, it revokes it when it is done
# with its work, which here means when the test says so. "again" as second word: over a new connection.
APP = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads; taken below
import etcd3
host, port = sys.argv[1].split(':')
client = etcd3.client(host=host, port=int(port), timeout=60)
lease = client.lease(600)
client.put('instances/worker', 'here', lease)
print('serving', flush=True)
signal.sigwait({signal.SIGTERM})
if sys.argv[2] == 'again':
    client.close()
print('told', flush=True)
sys.stdin.readline()
if sys.argv[2] == 'again':
    client = etcd3.client(host=host, port=int(port), timeout=60)
client.revoke_lease(lease.id)
print('revoked', flush=True)
"""


class App:
    def __init__(self, test, addr, how="same"):
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.popen = subprocess.Popen([sys.executable, "-c", APP, addr, how], stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=real._in_child, env=env)
        test.addCleanup(self.end)
        self.expect("serving")

    def expect(self, word):
        line = self.popen.stdout.readline().strip()
        if line != word:
            raise AssertionError(f"{word!r} expected, {line!r} came: {self.popen.stderr.read()[-2000:]}")

    def tell(self):
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()

    def end(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            pipe.close()


class Drain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack("drain")
        cls.addClassCleanup(cls.stack.close)
        cls.etcd, cls.nats = cls.stack.etcd(), cls.stack.nats()

    def sidecar(self, namespace, *args):
        return self.stack.sidecar(namespace, self.etcd, self.nats, args=args)

    def stored(self, sidecar):
        return any(k.startswith(b"bh/d/" + sidecar.namespace.encode()) for k in cases.stored_keys(self.etcd))

    def ends(self, sidecar):
        """By itself and well; how long it took from now."""
        begin = time.monotonic()
        self.assertEqual(0, sidecar.popen.wait(real.WAIT_S), sidecar.tail())
        sidecar.check_clean()
        return time.monotonic() - begin

    def test_classic_keeps_forwarding_until_the_application_has_gone(self):
        """Both get SIGTERM; nothing moves on the application's connection for as long as its last work takes."""
        sidecar = self.sidecar("classic", "--drain-mode", "classic", "--drain-quiet-ms", "0", "--drain-ms", "600000")
        app = App(self, sidecar.etcd)
        self.assertTrue(self.stored(sidecar))
        sidecar.send_signal(signal.SIGTERM)
        app.popen.send_signal(signal.SIGTERM)
        app.expect("told")
        sidecar.until(lambda: "draining" in sidecar.log(), "the sidecar drains")
        sidecar.until(lambda: real.http_get(sidecar.health, "/readyz") == (503, "draining\netcd: draining\nnats: draining\n"),
                      "it is not ready any more")
        app.tell()
        app.expect("revoked")
        self.assertFalse(self.stored(sidecar))
        self.assertEqual(0, app.popen.wait(real.WAIT_S))
        self.ends(sidecar)
        self.assertNotIn("drain time is over", sidecar.log())

    def test_classic_takes_a_new_connection_for_it(self):
        sidecar = self.sidecar("again", "--drain-mode", "classic", "--drain-quiet-ms", "0", "--drain-ms", "600000")
        app = App(self, sidecar.etcd, "again")
        # Another container of the pod is still connected: so it does not depend on how busy this machine is.
        with socket.create_connection(sidecar.etcd.split(":")):
            sidecar.send_signal(signal.SIGTERM)
            app.popen.send_signal(signal.SIGTERM)
            app.expect("told")
            sidecar.until(lambda: "draining" in sidecar.log(), "the sidecar drains")
            app.tell()
            app.expect("revoked")
            self.assertEqual(0, app.popen.wait(real.WAIT_S))
            self.assertTrue(sidecar.running())
        self.assertFalse(self.stored(sidecar))
        self.ends(sidecar)

    def test_classic_is_bounded_by_the_grace_period(self):
        sidecar = self.sidecar("stuck", "--drain-mode", "classic", "--drain-ms", "300")
        App(self, sidecar.etcd)
        sidecar.send_signal(signal.SIGTERM)
        self.ends(sidecar)
        self.assertIn("stopping with applications connected: the drain time is over", sidecar.log())

    def test_native_ends_at_once_when_the_application_has_gone(self):
        """The order of a native sidecar: the application ends first, then SIGTERM."""
        sidecar = self.sidecar("native", "--drain-ms", "600000")
        app = App(self, sidecar.etcd)
        app.popen.send_signal(signal.SIGTERM)
        app.expect("told")
        app.tell()
        app.expect("revoked")
        self.assertFalse(self.stored(sidecar))
        self.assertEqual(0, app.popen.wait(real.WAIT_S))
        sidecar.send_signal(signal.SIGTERM)
        print(f"native, the application has gone: {self.ends(sidecar) * 1000:.0f} ms", flush=True)

    def test_native_does_not_wait_for_watches_keepalives_and_subscriptions(self):
        """They are still there when the grace period is over, or on a machine without Kubernetes."""
        sidecar = self.sidecar("open", "--drain-ms", "600000")
        watch = self.stack.process("watch", [real.find_program("etcdctl"), "--endpoints", sidecar.etcd, "watch", "--prefix", ""],
                                   env={"ETCDCTL_API": "3"})
        watch.until(lambda: real.etcdctl(sidecar.etcd, "put", "k", "v").returncode == 0 and "PUT" in watch.log(), "the watch begins")
        lease = real.etcdctl(sidecar.etcd, "lease", "grant", "600").stdout.split()[1]
        alive = self.stack.process("keep-alive", [real.find_program("etcdctl"), "--endpoints", sidecar.etcd, "lease", "keep-alive", lease],
                                   env={"ETCDCTL_API": "3"})
        alive.until(lambda: "keepalived" in alive.log(), "the lease is kept alive")
        ear = self.stack.process("ear", [os.environ["NATS_CLIENT"], sidecar.nats_url, "sub", ">", "0"])
        ear.until(lambda: "listening" in ear.log(), "a subscription")
        sidecar.send_signal(signal.SIGTERM)
        print(f"native, streams and subscriptions open: {self.ends(sidecar) * 1000:.0f} ms", flush=True)
        self.assertNotIn("drain time is over", sidecar.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
