# SPDX-License-Identifier: Apache-2.0
"""The chart and the Kustomize base as committed: what helm rendered (tests/more/chart/golden) keeps our
promises, every value is documented and has a type, the injector takes the configuration that is in it."""

import hashlib
import json
import os
import re
import tempfile
import unittest

import yaml

from stack import ROOT, run

DEPLOY = os.path.join(ROOT, "deploy", "sidecar-injector")
CHART = os.path.join(DEPLOY, "chart")
GOLDEN = os.path.join(ROOT, "tests", "more", "chart", "golden")
KUSTOMIZE = os.path.join(DEPLOY, "kustomize")
INJECTOR = os.environ.get("INJECTOR", "")
SYSTEM = {"bulkhead-system", "kube-system", "kube-public", "kube-node-lease"}


class Strict(yaml.SafeLoader):
    """A key that stands twice is an error, as it is to people."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = {k for k in keys if keys.count(k) > 1}
        if twice:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: twice: {twice}")
        return super().construct_mapping(node, deep)


def read(*path):
    with open(os.path.join(*path)) as f:
        return f.read()


def documents(text):
    return [d for d in yaml.load_all(text, Loader=Strict) if d]


def of(items, kind):
    return [i for i in items if i["kind"] == kind]


def goldens():
    return {f.removesuffix(".yaml"): documents(read(GOLDEN, f))
            for f in sorted(os.listdir(GOLDEN)) if f.endswith(".yaml")}


def kustomize_files():
    for folder, _, files in os.walk(KUSTOMIZE):
        for name in files:
            if name.endswith(".yaml"):
                yield os.path.join(folder, name)


class Rendered(unittest.TestCase):
    """Each of these holds in every rendering."""

    def each(self, kind):
        found = False
        for case, items in goldens().items():
            for item in of(items, kind):
                found = True
                with self.subTest(case=case, kind=kind, name=item["metadata"]["name"]):
                    yield item
        self.assertTrue(found, kind)

    def test_golden_files_are_of_this_chart(self):
        for line in read(GOLDEN, "made-from").splitlines():
            digest, path = line.split("  ", 1)
            with open(os.path.join(CHART, path), "rb") as f:
                self.assertEqual(digest, hashlib.sha256(f.read()).hexdigest(),
                                 f"{path} changed: render again, tests/more/chart/render.py --write")
        listed = {line.split("  ", 1)[1] for line in read(GOLDEN, "made-from").splitlines()}
        there = {os.path.relpath(os.path.join(d, f), CHART) for d, _, fs in os.walk(CHART) for f in fs}
        self.assertEqual(listed, there)
        cases = {f.removesuffix("-values.yaml") for f in os.listdir(os.path.join(CHART, "ci"))}
        self.assertEqual(cases, set(goldens()))

    def test_the_webhook_fails_closed_for_few_pods_only(self):
        for item in self.each("MutatingWebhookConfiguration"):
            names = [w["name"] for w in item["webhooks"]]
            self.assertEqual(len(names), len(set(names)))
            for hook in item["webhooks"]:
                self.assertEqual(hook["failurePolicy"], "Fail")
                self.assertEqual(hook["sideEffects"], "None")
                self.assertEqual(hook["reinvocationPolicy"], "IfNeeded")
                self.assertEqual(hook["admissionReviewVersions"], ["v1"])
                self.assertLessEqual(hook["timeoutSeconds"], 5)
                self.assertEqual(hook["rules"], [{"apiGroups": [""], "apiVersions": ["v1"],
                                                  "operations": ["CREATE"], "resources": ["pods"],
                                                  "scope": "Namespaced"}])
                out = hook["namespaceSelector"]["matchExpressions"][0]
                self.assertEqual((out["key"], out["operator"]), ("kubernetes.io/metadata.name", "NotIn"))
                self.assertLessEqual(SYSTEM, set(out["values"]))
                self.assertTrue(self.is_narrow(hook), hook["name"])

    @staticmethod
    def is_narrow(hook):
        """Something besides the excluded namespaces must be there for a pod to be sent to us."""
        asks = [e for e in hook["objectSelector"]["matchExpressions"] +
                hook["namespaceSelector"]["matchExpressions"] if e["operator"] == "Exists"]
        return asks or any("DYN_NAMESPACE" in c["expression"] for c in hook.get("matchConditions", []))

    def test_one_reason_for_one_pod(self):
        """No pod is sent twice: the selectors of any two webhooks contradict each other."""
        def wants(hook):
            return {(where, e["key"], e["operator"]) for where in ("objectSelector", "namespaceSelector")
                    for e in hook[where]["matchExpressions"] if e["operator"] in ("Exists", "DoesNotExist")}
        opposite = {"Exists": "DoesNotExist", "DoesNotExist": "Exists"}
        for item in self.each("MutatingWebhookConfiguration"):
            hooks = item["webhooks"]
            for i, a in enumerate(hooks):
                for b in hooks[i + 1:]:
                    against = {(w, k, opposite[o]) for w, k, o in wants(b)}
                    self.assertTrue(wants(a) & against, (a["name"], b["name"]))

    def test_the_injector_is_restricted_and_has_no_rights(self):
        for item in self.each("Deployment"):
            pod = item["spec"]["template"]["spec"]
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertFalse(pod["enableServiceLinks"])
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"]:
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                    "privileged": False, "readOnlyRootFilesystem": True})
                self.assertIn("memory", container["resources"]["limits"])
                self.assertEqual([], [m for m in container["volumeMounts"] if "subPath" in m])
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    self.assertNotIn("host", container[probe]["httpGet"])
        for items in goldens().values():
            kinds = {i["kind"] for i in items}
            self.assertFalse(kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})

    def test_names_fit_together(self):
        for case, items in goldens().items():
            with self.subTest(case=case):
                pod = of(items, "Deployment")[0]["spec"]["template"]
                services = {s["metadata"]["name"]: s for s in of(items, "Service")}
                ports = {p["name"] for p in pod["spec"]["containers"][0]["ports"]}
                for service in services.values():
                    self.assertLessEqual(service["spec"]["selector"].items(), pod["metadata"]["labels"].items())
                    self.assertLessEqual({p["targetPort"] for p in service["spec"]["ports"]}, ports)
                hook = of(items, "MutatingWebhookConfiguration")[0]
                called = hook["webhooks"][0]["clientConfig"]["service"]
                self.assertIn(called["name"], services)
                volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
                secret = volumes["tls"]["secret"]["secretName"]
                certificates = [c for c in of(items, "Certificate") if c["spec"]["secretName"] == secret]
                made = [s for s in of(items, "Secret") if s["metadata"]["name"] == secret]
                if certificates:
                    self.assertIn(f"{called['name']}.{called['namespace']}.svc", certificates[0]["spec"]["dnsNames"])
                    name = certificates[0]["metadata"]["name"]
                    self.assertEqual(hook["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
                                     f"bulkhead-system/{name}")
                else:
                    self.assertTrue(all(w["clientConfig"]["caBundle"] for w in hook["webhooks"]))
                    self.assertEqual(len(made), 0 if case == "secret" else 1)

    def test_what_a_version_of_kubernetes_lacks_is_left_out(self):
        old, new = goldens()["old-cluster"], goldens()["self-signed"]
        self.assertEqual(of(old, "ValidatingAdmissionPolicy"), [])
        self.assertEqual(len(of(new, "ValidatingAdmissionPolicy")), 1)
        self.assertNotIn("matchConditions", json.dumps(of(old, "MutatingWebhookConfiguration")))
        self.assertIn("matchConditions", json.dumps(of(new, "MutatingWebhookConfiguration")))
        native = [json.loads(of(i, "ConfigMap")[0]["data"]["config.json"])["native"] for i in (old, new)]
        self.assertEqual(native, [False, True])

    @unittest.skipUnless(INJECTOR, "no bulkhead-injector in this build")
    def test_the_injector_takes_every_configuration(self):
        texts = {case: of(items, "ConfigMap")[0]["data"]["config.json"] for case, items in goldens().items()}
        for folder, _, files in os.walk(KUSTOMIZE):
            if "config.json" in files:
                texts[os.path.relpath(folder, KUSTOMIZE)] = read(folder, "config.json")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "config.json")
            for case, text in texts.items():
                with open(path, "w") as f:
                    f.write(text)
                done = run([INJECTOR, "check", "--config", path])
                self.assertEqual(done.returncode, 0, (case, done.stderr))


class Values(unittest.TestCase):
    def setUp(self):
        self.lines = read(CHART, "values.yaml").splitlines()
        self.values = yaml.load("\n".join(self.lines), Loader=Strict)
        self.schema = json.loads(read(CHART, "values.schema.json"))

    def test_every_value_has_a_sentence_above_it(self):
        """Groups may do without where their members have one."""
        for number, line in enumerate(self.lines):
            match = re.match(r"( *)([A-Za-z][\w]*):(.*)$", line)
            if not match:
                continue
            indent, name, value = match.groups()
            inside_of_default = self.parent_has_free_form(number, len(indent))
            if value.strip() == "" or inside_of_default:
                continue
            above = self.lines[number - 1].strip()
            self.assertTrue(above.startswith("# "), f"values.yaml:{number + 1}: {name} has no sentence")

    def parent_has_free_form(self, number, indent):
        """Below resources, securityContext, … the members are Kubernetes' own."""
        free = ("resources", "podSecurityContext", "securityContext")
        for line in reversed(self.lines[:number]):
            match = re.match(r"( *)([A-Za-z]\w*):", line)
            if match and len(match.group(1)) < indent:
                if match.group(2) in free:
                    return True
                indent = len(match.group(1))
        return False

    def test_the_schema_knows_exactly_the_values(self):
        def compare(values, schema, path):
            if not isinstance(values, dict) or values == {} or "properties" not in schema:
                return
            self.assertFalse(schema.get("additionalProperties", True), path)
            known = set(schema["properties"]) - {"global"}
            if path == "sidecar.resources":
                return
            self.assertEqual(known, set(values), path)
            for name, value in values.items():
                compare(value, schema["properties"][name], f"{path}.{name}".lstrip("."))
        compare(self.values, self.schema, "")


class Kustomize(unittest.TestCase):
    def test_files_parse_and_everything_named_is_there(self):
        seen = 0
        for path in kustomize_files():
            items = documents(read(path))
            seen += 1
            if os.path.basename(path) != "kustomization.yaml":
                continue
            for item in items:
                for name in item.get("resources", []) + item.get("components", []):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), name)), (path, name))
        self.assertGreater(seen, 10)

    def test_the_base_is_what_the_chart_renders(self):
        """Apart from helm's labels. The more test renders again, by helm and by kustomize."""
        helms = {"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance"}
        def plain(item):
            if isinstance(item, dict):
                return {k: plain(v) for k, v in item.items() if k not in helms}
            return [plain(i) for i in item] if isinstance(item, list) else item
        chart = plain(goldens()["kustomize"])
        for kind in ("Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"):
            self.assertEqual(of(documents(read(KUSTOMIZE, "base", kind.lower() + ".yaml")), kind), of(chart, kind))
        hook = documents(read(KUSTOMIZE, "base", "mutatingwebhookconfiguration.yaml"))[0]
        self.assertEqual(hook["webhooks"], of(chart, "MutatingWebhookConfiguration")[0]["webhooks"])


if __name__ == "__main__":
    unittest.main()
