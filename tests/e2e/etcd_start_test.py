# SPDX-License-Identifier: Apache-2.0
"""Many sidecars begin at once on a store that has nothing yet (design.md 4.1, 4.4); and the ways to
name an upstream: several endpoints, a unix socket (4.7)."""

import base64
import collections
import json
import re
import signal
import unittest

import stack as real

SAME, MANY = 8, 12  # sidecars of one namespace, and of one each


def rows(etcd, prefix):
    """{key: (value, version)} of the raw store."""
    done = real.etcdctl(etcd.url, "get", prefix, "--prefix", "-w", "json")
    return {base64.b64decode(kv["key"]).decode(): (base64.b64decode(kv["value"]).decode(), kv["version"])
            for kv in json.loads(done.stdout).get("kvs", [])}


class EtcdStart(unittest.TestCase):
    def setUp(self):
        self.stack = real.Stack("start")
        self.addCleanup(self.stack.close)

    def wait_ready(self, sidecar):
        real.wait_until(lambda: real.http_get(sidecar.etcd, "/readyz")[0] == 200, f"{sidecar.name} is ready")

    def test_many_sidecars_at_once(self):
        etcd = self.stack.etcd()
        etcd.send_signal(signal.SIGSTOP)  # its kernel takes their connections: all of them ask at the same time
        spaces = ["one/namespace"] * SAME + [f"many/{i}" for i in range(MANY)]
        try:
            sidecars = [self.stack.sidecar(n, etcd) for n in spaces]
        finally:
            etcd.send_signal(signal.SIGCONT)
        for s in sidecars:
            self.wait_ready(s)
        entries, tags = rows(etcd, "bh/m/n"), rows(etcd, "bh/m/t/")
        self.assertEqual({"bh/m/n/" + n + "." for n in spaces}, set(entries))
        self.assertEqual(set(spaces), {value for value, _ in tags.values()})
        self.assertEqual(1 + MANY, len(tags), tags)
        for key, (value, _) in entries.items():
            self.assertEqual(key, "bh/m/n/" + tags["bh/m/t/" + json.loads(value)["tag"]][0] + ".")
        once = {**tags, **rows(etcd, "bh/m/v")}
        self.assertEqual({1}, {version for _, version in once.values()}, "each was written once")
        # Each sidecar touches its entry before it serves (bulkhead gc looks for that), with the same value.
        self.assertEqual({SAME: 1, 1: MANY}, collections.Counter(version for _, version in entries.values()))
        # All sidecars of one namespace hold the same tag, the others one each.
        leases = []
        for s in sidecars:
            done = real.etcdctl(s.etcd_url, "lease", "grant", "600")
            leases.append(int(re.search(r"lease ([0-9a-f]+) granted", done.stdout).group(1), 16))
        self.assertEqual(1, len({lease >> 38 for lease in leases[:SAME]}))
        self.assertEqual(1 + MANY, len({lease >> 38 for lease in leases}))
        done = real.etcdctl(sidecars[0].etcd_url, "put", "k", "v", f"--lease={leases[SAME - 1]:x}")
        self.assertEqual("OK\n", done.stdout, done.stderr)

    def test_several_endpoints_and_a_unix_socket(self):
        """The first address is dead, the second is a socket in the file system; then it is the other way."""
        port, data = self.stack.port(), self.stack.path("etcd.data")
        path = "etcd.sock:0"  # etcd takes the URL's host and port for a file's name; relative, as both start there
        other = self.stack.process("etcd-unix", [
            real.find_program("etcd"), "--data-dir", data, "--listen-client-urls", "unix://" + path,
            "--advertise-client-urls", f"http://127.0.0.1:{port}", "--listen-peer-urls", "http://127.0.0.1:0",
            "--initial-advertise-peer-urls", "http://127.0.0.1:0", "--initial-cluster", "default=http://127.0.0.1:0",
            "--name", "default", "--logger", "zap", "--log-outputs", "stderr"])
        sidecar = self.stack.sidecar("a", f"127.0.0.1:{port},unix:{path}")
        self.wait_ready(sidecar)
        c = self.stack.etcd_client(sidecar.etcd)
        self.assertEqual("OK", c.ask('call KV.Put key "k" value "1"'))
        c.ask("open w Watch.Watch")
        c.ask('send w create_request { key "k" }')
        c.ask("recv w")
        other.stop()
        self.stack.etcd(port=port, data=data)
        real.wait_until(lambda: c.ask('call KV.Put key "k" value "2"') == "OK", "etcd is reached at the other address")
        self.assertRegex(c.ask("recv w"), r'^GOT events { kv { key "k" .*version 2 value "2" } }$')


if __name__ == "__main__":
    unittest.main(verbosity=2)
