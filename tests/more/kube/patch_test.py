# SPDX-License-Identifier: Apache-2.0
"""Patches for some hundred pods, applied by the API server's library and by ours: equal. The pods are made
from what the operators make, with every optional part there, absent, null and empty, and hostile ones."""

import base64
import json
import os
import random
import ssl
import subprocess
import unittest
import urllib.request

from hook import READY, injector_binary
from kube_stack import Certificates, program
from stack import Stack

CONFIGS = {
    "native": {},
    "classic": {"native": False},
    "redirect": {"tier": "redirect", "enforce": True, "host-names": ["etcd", "nats"]},
    "full": {"tier": "hosts", "host-names": ["etcd"], "image-pull-secrets": ["a/b~c"], "dynamo-discovery": "etcd",
             "sidecar-env": [{"name": "X", "value": "\"~1/\\"}],
             "sidecar-volumes": [{"name": "certs", "secret": {"secretName": "s"}}],
             "sidecar-volume-mounts": [{"name": "certs", "mountPath": "/certs"}]},
}
BASE = {"image": "ghcr.io/bulkhead/bulkhead:0", "etcd-upstream": ["e:2379"], "nats-upstream": ["n:4222"],
        "conflicts": "warn"}


class Maker:
    """Random pods; one seed, one sequence."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, *choices):
        return self.random.choice(choices)

    def env(self):
        r = self.random
        names = ["ETCD_ENDPOINTS", "NATS_SERVER", "DYN_NAMESPACE", "ETCD_AUTH_PASSWORD", "NATS_TLS_CA", "OTHER",
                 "DYN_DISCOVERY_BACKEND", "DYN_NAMESPACE_PREFIX", "NATS_URL", "SLASH/NAME", "~TILDE~"]
        out = []
        for name in r.sample(names, r.randrange(len(names))):
            value = {"DYN_NAMESPACE": "dynamo", "DYN_DISCOVERY_BACKEND": self.some("kubernetes", "etcd")}.get(
                name, self.some("", "x", "snow\u2603man", "quote\"back\\slash", "$(OTHER)", "a\tb"))
            entry = {"name": name, "value": value}
            if name in ("OTHER", "NATS_SERVER") and r.random() < 0.4:
                entry = {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
            out.append(entry)
            if r.random() < 0.1:
                out.append(dict(entry))  # twice: the last one counts
        return out

    def container(self, name):
        r = self.random
        out = {"name": name, "image": "i:1"}
        if r.random() < 0.8:
            out["env"] = self.some(self.env(), self.env(), [], None)
        if r.random() < 0.3:
            out["envFrom"] = [{"configMapRef": {"name": "c"}}]
        if r.random() < 0.3:
            out["ports"] = [{"containerPort": self.some(8000, 9090)}]
        return out

    def pod(self):
        r = self.random
        metadata = {"generateName": "p-"} if r.random() < 0.5 else {"name": "p"}
        labels = {"bulkhead.dev/inject": "true"}
        if r.random() < 0.5:
            labels.update({"nvidia.com/dynamo-component-type": self.some("frontend", "worker", "planner"),
                           "nvidia.com/dynamo-graph-deployment-name": "g", "a.b/c~d": "x"})
        metadata["labels"] = labels
        metadata.update(self.some({}, {"annotations": None}, {"annotations": {}},
                                  {"annotations": {"bulkhead.dev/namespace": self.some("a", "a/b", "default/x"),
                                                   "weird/~key": "v"}},
                                  {"annotations": {"bulkhead.dev/tier": self.some("loopback", "redirect")}}))
        spec = {"containers": [self.container(n) for n in ("main", "second", "third")[:r.randrange(1, 4)]]}
        for key, values in (
                ("initContainers", ([], None, [self.container("init")], [self.container("i1"), self.container("i2")])),
                ("volumes", ([], None, [{"name": "v", "emptyDir": {}}])),
                ("hostAliases", ([], None, [{"ip": "10.0.0.1", "hostnames": ["h"]}])),
                ("imagePullSecrets", ([], None, [{"name": "p"}])),
                ("terminationGracePeriodSeconds", (0, 1, 60, 3600))):
            if r.random() < 0.6:
                spec[key] = self.some(*values)
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


class Applier:
    """A program that answers each line with one."""

    def __init__(self, path):
        self.popen = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def apply(self, doc, patch):
        self.popen.stdin.write(json.dumps({"doc": doc, "patch": patch}) + "\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        if not line:
            raise AssertionError("the applier is gone")
        return None if line.startswith("error:") else json.loads(line)

    def close(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.popen.wait()


class Patches(unittest.TestCase):
    def setUp(self):
        self.stack = Stack("patch")
        self.addCleanup(self.stack.close)
        self.theirs, self.ours = Applier(program("json-patch-oracle")), Applier(os.environ["PATCH_APPLY"])
        self.addCleanup(self.theirs.close)
        self.addCleanup(self.ours.close)
        self.certs = Certificates(self.stack.path("certs"))
        self.certs.sign("hook", "/CN=x", "IP:127.0.0.1")
        self.tls = ssl.create_default_context(cafile=self.certs.path("ca.crt"))

    def injector(self, name):
        path = self.stack.path(name + ".json")
        with open(path, "w") as f:
            json.dump({**BASE, **CONFIGS[name]}, f)
        process = self.stack.process(name, [
            injector_binary(), "serve", "--config", path, "--tls-cert", self.certs.path("hook.crt"), "--tls-key",
            self.certs.path("hook.key"), "--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0",
            "--drain-ms", "0"], stdout_is_log=False)
        return process.until(lambda: READY.search(process.out()), "the ready line").group(1)

    def review(self, address, pod):
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "team-a",
            "operation": "CREATE", "object": pod}}
        request = urllib.request.Request(f"https://{address}/mutate?timeout=5s", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
            response = json.load(answer)["response"]
        patch = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
        return response, patch

    def test_patches_of_hundreds_of_pods(self):
        seed = int(os.environ.get("PATCH_SEED", "8"))
        pods, injected, denied, operations = int(os.environ.get("PATCH_PODS", "150")), 0, 0, 0
        for name in CONFIGS:
            address, maker = self.injector(name), Maker(seed)
            for number in range(pods):
                pod = maker.pod()
                with self.subTest(config=name, seed=seed, number=number):
                    response, patch = self.review(address, pod)
                    if not response["allowed"]:
                        denied += 1
                        continue
                    theirs, ours = self.theirs.apply(pod, patch), self.ours.apply(pod, patch)
                    self.assertIsNotNone(theirs, (pod, patch))
                    self.assertEqual(theirs, ours)
                    injected += bool(patch)
                    operations += len(patch)
                    # And once more over the result: nothing to do.
                    again, more = self.review(address, theirs)
                    self.assertTrue(again["allowed"], again)
                    self.assertEqual(more, [])
        print(f"seed {seed}: {injected} pods injected by {operations} operations, {denied} denied")
        self.assertGreater(injected, pods)

    def test_operations_that_are_easily_got_wrong(self):
        """injector.md's traps: where both apply a patch, they agree; what ours refuses is never sent."""
        doc = {"a": [1, 2, 3], "o": {"x/y": 1, "~": 2, "": 3}, "n": None, "e": []}
        cases = [
            [{"op": "add", "path": "/a/0", "value": 0}], [{"op": "add", "path": "/a/3", "value": 4}],
            [{"op": "add", "path": "/a/-", "value": {"k": []}}], [{"op": "add", "path": "/a/4", "value": 9}],
            [{"op": "add", "path": "/o/x~1y", "value": 9}], [{"op": "add", "path": "/o/~0", "value": 9}],
            [{"op": "replace", "path": "/o/x~1y", "value": None}], [{"op": "remove", "path": "/o/~0"}],
            [{"op": "remove", "path": "/a/1"}, {"op": "remove", "path": "/a/1"}],
            [{"op": "remove", "path": "/a/7"}], [{"op": "remove", "path": "/o/none"}],
            [{"op": "add", "path": "/e/-", "value": 1}, {"op": "add", "path": "/e/0", "value": 0}],
            [{"op": "add", "path": "/missing/x", "value": 1}], [{"op": "add", "path": "/n/x", "value": 1}],
            [{"op": "add", "path": "/n", "value": {}}, {"op": "add", "path": "/n/x", "value": 1}],
            [{"op": "add", "path": "/o", "value": {}}], [{"op": "replace", "path": "/a/2", "value": [[]]}],
            [{"op": "add", "path": "/u\u00e9", "value": "\u2603\u0001\"\\"}],
        ]
        both = 0
        for patch in cases:
            with self.subTest(patch=patch):
                theirs, ours = self.theirs.apply(doc, patch), self.ours.apply(doc, patch)
                if ours is not None:
                    self.assertEqual(ours, theirs)
                    both += 1
        self.assertGreaterEqual(both, 11)
        # Ours is the stricter one: what Go's library lets pass and no RFC does.
        for patch in ([{"op": "add", "path": "x", "value": 1}], [{"op": "add", "path": "/a/00", "value": 1}],
                      [{"op": "add", "path": "/a/-1", "value": 1}]):
            self.assertIsNone(self.ours.apply(doc, patch), patch)


if __name__ == "__main__":
    unittest.main()
