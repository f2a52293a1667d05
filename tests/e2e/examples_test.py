# SPDX-License-Identifier: Apache-2.0
"""The manifests of deploy/sidecar-injector/examples: they parse, `bulkhead-injector inject` does to them what
their comments say, and the injected twin of the manual pod is today's."""

import os
import re
import unittest

import yaml

from stack import ROOT, run

FOLDER = os.path.join(ROOT, "deploy", "sidecar-injector", "examples")
INJECTOR = os.environ.get("INJECTOR", "")


def names(suffix=".yaml"):
    return sorted(f for f in os.listdir(FOLDER) if f.endswith(suffix))


def read(name):
    with open(os.path.join(FOLDER, name)) as f:
        return f.read()


def items(text):
    return [i for i in yaml.safe_load_all(text) if i]


def pod_spec(item):
    """The spec and annotations of the pod in a manifest, or None."""
    if item["kind"] == "Pod":
        return item["spec"], item["metadata"].get("annotations", {})
    template = item.get("spec", {}).get("template")
    return (template["spec"], template["metadata"].get("annotations", {})) if template else None


def argument(container, flag):
    return next((a.split("=", 1)[1] for a in container["args"] if a.startswith(flag + "=")), None)


class Files(unittest.TestCase):
    def test_each_is_told_of_in_the_readme_and_says_where_it_goes(self):
        told = read("README.md")
        for name in names() + names(".json"):
            with self.subTest(file=name):
                self.assertIn(f"`{name}`", told)
        for name in names():
            for item in items(read(name)):
                self.assertTrue(item["metadata"]["name"])
                if item["kind"] != "Namespace":
                    self.assertTrue(item["metadata"].get("namespace"), (name, item["kind"]))

    def test_graph_deployments_say_their_namespace_once(self):
        claims = {}
        for name in names():
            for item in items(read(name)):
                if item["kind"] == "DynamoGraphDeployment":
                    spec = item["spec"]
                    self.assertEqual(item["apiVersion"], "nvidia.com/v1alpha1")
                    self.assertEqual(spec["annotations"]["bulkhead.dev/dynamo-discovery"], "etcd")
                    self.assertNotIn("bulkhead.dev/namespace", str(spec["services"]))
                    self.assertNotIn("dynamoNamespace", str(item))
                    claims[item["metadata"]["name"]] = spec["annotations"]["bulkhead.dev/namespace"]
        self.assertEqual(claims, {"model1": "default/model1", "llama-8b-a": "llama-8b/version-A",
                                  "llama-8b-b": "llama-8b/version-B"})


@unittest.skipUnless(INJECTOR, "no bulkhead-injector in this build")
class Injected(unittest.TestCase):
    def inject(self, name, text=None):
        done = run([INJECTOR, "inject", "--config", os.path.join(FOLDER, "config.json"), "-f",
                    os.path.join(FOLDER, name) if text is None else "-"], stdin=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_every_pod_gets_its_sidecar_and_nothing_else_moves(self):
        found = 0
        for name in names():
            with self.subTest(file=name):
                before, after = items(read(name)), items(self.inject(name))
                self.assertEqual(len(before), len(after))
                for old, new in zip(before, after):
                    if pod_spec(old) is None:
                        self.assertEqual(old, new)
                        continue
                    found += 1
                    spec, annotations = pod_spec(new)
                    sidecar = next(c for c in spec["initContainers"] if c["name"] == "bulkhead")
                    claimed = annotations["bulkhead.dev/namespace"]
                    self.assertEqual(argument(sidecar, "--namespace"), claimed)
                    self.assertEqual(sidecar["restartPolicy"], "Always")
                    # Every line of the source is still there, comments included, but replaced values.
                lines = [l for l in read(name).splitlines() if l.strip().startswith("#")]
                self.assertEqual([l for l in lines if l not in self.inject(name)], [])
        self.assertEqual(found, 4)

    def test_doing_it_again_changes_nothing(self):
        for name in names():
            with self.subTest(file=name):
                once = self.inject(name)
                self.assertEqual(self.inject(name, once), once)

    def test_the_manual_pod_is_todays(self):
        self.assertEqual(read("manual-pod.injected.yaml"), self.inject("manual-pod.yaml"))
        spec, _ = pod_spec(items(read("manual-pod.injected.yaml"))[0])
        env = {e["name"]: e.get("value") for e in spec["containers"][0]["env"]}
        self.assertEqual((env["ETCD_ENDPOINTS"], env["NATS_SERVER"]),
                         ("http://127.0.0.1:2379", "nats://127.0.0.1:4222"))

    def test_views_and_tiers(self):
        root = pod_spec(items(self.inject("shared-root-frontend.yaml"))[1])[0]
        sidecar = root["initContainers"][0]
        self.assertEqual((argument(sidecar, "--namespace"), argument(sidecar, "--view")), ("default", "subtree"))
        legacy = pod_spec(items(self.inject("legacy-pod-redirect.yaml"))[1])[0]
        rules, sidecar = legacy["initContainers"]
        self.assertEqual((rules["name"], rules["args"][0]), ("bulkhead-redirect", "redirect"))
        self.assertIn("--enforce", rules["args"])
        self.assertEqual(rules["securityContext"]["capabilities"], {"drop": ["ALL"], "add": ["NET_ADMIN"]})
        self.assertIsNotNone(argument(sidecar, "--intercept-listen"))

    def test_the_policy_of_the_examples_holds(self):
        text = read("manual-pod.yaml").replace("llama-8b/version-A", "someone-elses")
        done = run([INJECTOR, "inject", "--config", os.path.join(FOLDER, "config.json"), "-f", "-"], stdin=text)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, re.compile("someone-elses"))


if __name__ == "__main__":
    unittest.main()
