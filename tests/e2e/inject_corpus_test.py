# SPDX-License-Identifier: Apache-2.0
"""Some hundred pods, each injected by the webhook and by `inject -f`: the patch, applied by an applier
that is not ours, gives what `inject -f` writes; seen again, nothing changes; what API servers and other
webhooks do to it meanwhile is put right or left alone."""
import base64
import copy
import json
import os
import unittest

import jsonpatch
import yaml

import stack as stack_module
from inject_pods import CONFIG, Injector, binary, corpus
from stack import Stack

CONFIGS = {
    "plain": {},
    "redirect": {"tier": "redirect", "conflicts": "warn", "host-names": ["etcd-0"], "image-pull-secrets": ["p"],
                 "sidecar-volumes": [{"name": "certs", "secret": {"secretName": "c"}}],
                 "sidecar-volume-mounts": [{"name": "certs", "mountPath": "/certs"}],
                 "sidecar-env": [{"name": "BULKHEAD_ETCD_PASSWORD",
                                  "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
    "classic": {"native": False, "dynamo-discovery": "etcd", "tier": "loopback"},
}


def as_stored(pod):
    """The pod as the API server hands it on: defaults filled in, nulls and empty lists left out."""
    pod = json.loads(json.dumps(pod))
    for c in pod["spec"].get("initContainers") or []:
        c.setdefault("terminationMessagePath", "/dev/termination-log")
    for c in (pod["spec"].get("initContainers") or []) + pod["spec"]["containers"]:
        if not c["name"].startswith("bulkhead"):  # of ours what others add is taken out again
            c.setdefault("volumeMounts", []).append({"name": "added", "mountPath": "/added"})
        c.setdefault("imagePullPolicy", "Always")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in c:
                c[probe]["successThreshold"] = 1
                c[probe]["httpGet"]["scheme"] = "HTTP"
        limits = c.get("resources", {}).get("limits", {})
        if limits.get("cpu") == "1":
            limits["cpu"] = "1000m"
    return pod


def our_container(pod):
    return next(c for c in (pod["spec"].get("initContainers") or []) + pod["spec"]["containers"]
                if c["name"] == "bulkhead")


class Plain(yaml.SafeDumper):
    """Writes what is shared twice instead of an anchor and an alias."""

    def ignore_aliases(self, data):
        return True


class Corpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.__enter__()
        cls.injectors = {n: Injector(n, cls.stack.directory, c) for n, c in CONFIGS.items()}
        cls.pods = corpus()

    @classmethod
    def tearDownClass(cls):
        try:
            for i in cls.injectors.values():
                i.finish()
        finally:
            for i in cls.injectors.values():
                i.stop()
            cls.stack.__exit__(None, None, None)

    def injected(self, injector, pod, connection):
        """(pod with its patch applied, response)"""
        r = injector.review(pod, connection=connection)
        self.assertTrue(r["allowed"], r)
        if "patch" not in r:
            return pod, r
        patch = json.loads(base64.b64decode(r["patch"]))
        return jsonpatch.apply_patch(copy.deepcopy(pod), patch), r

    def files(self, injector, text, suffix):
        path = os.path.join(self.stack.directory, "pods" + suffix)
        with open(path, "w") as f:
            f.write(text)
        r = stack_module.run([binary(), "inject", "--config", injector.config, "-n", "team-a", "-f", path], timeout=300)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def test_there_are_some_hundred(self):
        self.assertGreater(len(self.pods), 180)

    def test_patches_mean_the_same_to_both_appliers_and_are_idempotent(self):
        for name, injector in self.injectors.items():
            connection = injector.connect()
            expected = []
            for i, pod in enumerate(self.pods):
                with self.subTest(config=name, pod=i):
                    after, _ = self.injected(injector, pod, connection)
                    our_container(after)
                    again, r = self.injected(injector, after, connection)
                    self.assertNotIn("patch", r)
                    expected.append(after)
            connection.close()
            # Our applier's half: the same pods as one List, edited as text.
            listed = [{**p, "kind": "Pod"} for p in self.pods]
            for indent in (None, 2):
                text = json.dumps({"kind": "List", "items": listed}, indent=indent)
                out = json.loads(self.files(injector, text, ".json"))
                for i, (got, want) in enumerate(zip(out["items"], expected, strict=True)):
                    self.assertEqual(got, {**want, "kind": "Pod"}, f"{name} {i}")

    def test_what_others_do_to_it(self):
        for name, injector in self.injectors.items():
            connection = injector.connect()
            for i, pod in enumerate(self.pods[::7]):
                with self.subTest(config=name, pod=i):
                    after, _ = self.injected(injector, pod, connection)
                    _, r = self.injected(injector, as_stored(after), connection)
                    self.assertNotIn("patch", r)
                    ours = our_container(after)
                    for field in list(ours):
                        if field == "name":
                            continue
                        stripped = json.loads(json.dumps(after))
                        del our_container(stripped)[field]
                        mended, _ = self.injected(injector, stripped, connection)
                        self.assertEqual(our_container(mended), ours, field)
            connection.close()

    def test_yaml_says_the_same_and_keeps_its_comments(self):
        injector = self.injectors["plain"]
        pods = [{**p, "kind": "Pod"} for p in self.pods if "\\u0000" not in json.dumps(p)]
        for style in (False, None):
            text = yaml.dump_all(pods, Dumper=Plain, default_flow_style=style, allow_unicode=True,
                                 sort_keys=style is None)
            lines = [line + f"  # c{n}" if line.rstrip().endswith(":") else line
                     for n, line in enumerate(text.splitlines())]
            text = "# top\n" + "\n".join(lines)
            out = self.files(injector, text, ".yaml")
            self.assertEqual(self.files(injector, out, ".yaml"), out)
            ends = {line for line in out.splitlines()}
            for line in lines:  # of what is replaced the comments go with it
                if line.strip().startswith(("metadata:", "spec:", "containers:", "labels:", "volumes:  #")):
                    self.assertIn(line, ends)
            connection = injector.connect()
            for i, (pod, got) in enumerate(zip(pods, yaml.safe_load_all(out), strict=True)):
                with self.subTest(style=style, pod=i):
                    want, _ = self.injected(injector, pod, connection)
                    self.assertEqual(got, want)
            connection.close()


class Files(unittest.TestCase):
    """Every kind of workload, and files that are left alone."""

    def inject(self, text, *args, status=0):
        with Stack() as stack:
            config, path = (os.path.join(stack.directory, n) for n in ("config.json", "in.yaml"))
            with open(config, "w") as f:
                json.dump(CONFIG, f)
            with open(path, "w") as f:
                f.write(text)
            r = stack_module.run([binary(), "inject", "--config", config, "-f", path, *args])
            self.assertEqual(r.returncode, status, r.stderr)
            return r.stdout, r.stderr

    def test_every_kind_of_workload(self):
        template = {"metadata": {"annotations": {"bulkhead.dev/namespace": "a"}},
                    "spec": {"containers": [{"name": "m", "image": "i"}]}}
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "PodTemplate"):
            spec = {"template": template}
            if kind == "CronJob":
                spec = {"jobTemplate": {"spec": spec}}
            document = {"kind": kind, "metadata": {"name": "x"}, **({"template": template} if kind == "PodTemplate"
                                                                    else {"spec": spec})}
            out, _ = self.inject(yaml.safe_dump(document))
            self.assertIn("--namespace=a", out, kind)
            changed = yaml.safe_load(out)
            self.assertEqual(changed["kind"], kind)

    def test_what_is_not_ours_stays_byte_for_byte(self):
        text = "# one\n---\nkind: ConfigMap\ndata: {a: 'x' , b: |\n  }\n".replace("b: |\n  ", "b: y")
        text += "---\nkind: DynamoGraphDeployment\nspec:   {services: {}}   # as it was\n...\n"
        self.assertEqual(self.inject(text)[0], text)
        pod = "kind: Pod\nmetadata:\n  labels: {bulkhead.dev/inject: 'false'}\nspec: {containers: [{name: a}]}\n"
        out, said = self.inject(pod)
        self.assertEqual(out, pod)
        self.assertIn("left alone", said)

    def test_untouched_lines_are_the_same_lines(self):
        text = ("# head\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p   # the name\n\nspec:\n"
                "  # before\n  containers:\n  - image: 'x'\n    name: m # main\n    env:\n"
                "    # about A\n    - {name: A, value: \"1\"}\n    - name: NATS_SERVER\n      value: >-\n        n:1\n"
                "    # about B\n    - name: B\n      value: b\n  volumes: [ ]   # none\n# end")
        out, _ = self.inject(text)
        kept = out.splitlines()
        for line in text.splitlines():
            if "value: >-" not in line and "n:1" not in line and "volumes" not in line:
                self.assertIn(line, kept)
        self.assertIn("# none", out)

    def test_denials_and_broken_files_write_nothing(self):
        for text, said in (("kind: Pod\nspec: {hostNetwork: true, containers: [{name: a}]}\n", "hostNetwork"),
                           ("kind: Pod\nspec:\n  containers: &c [{name: a}]\n  initContainers: *c\n", "alias"),
                           ("a: 1\na: 2\n", "twice"), ("{\"a\": 1,}", "line 1"), ("a: [\n", "line"),
                           ("kind: Pod\n", "spec")):
            out, errors = self.inject(text, status=1)
            self.assertEqual(out, "")
            self.assertIn(said, errors)

    def test_in_place(self):
        with Stack() as stack:
            config, path = (os.path.join(stack.directory, n) for n in ("config.json", "in.yaml"))
            with open(config, "w") as f:
                json.dump(CONFIG, f)
            with open(path, "w") as f:
                f.write("kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}]}")
            self.assertEqual(stack_module.run([binary(), "inject", "-c", config, "-i", "-f", path], timeout=300).returncode, 0)
            with open(path) as f:
                self.assertIn("--namespace=default", f.read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
