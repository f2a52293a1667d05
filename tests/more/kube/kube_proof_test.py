# SPDX-License-Identifier: Apache-2.0
"""What the API server and its controllers say to the rest: every pod of the corpora, every object of the chart,
the Kustomize base and the examples, strictly validated; audit annotations; pods that controllers make; running
pods that somebody wants to change; the chart's own certificate kept over upgrades."""

import base64
import copy
import glob
import json
import os
import subprocess
import unittest

import jsonpatch
import yaml

import inject_pods
import patch_test
from hook import CHART, Hook, injector_binary
from kube_pods import pod, sidecars, variable
from kube_stack import ApiServer, program
from stack import ROOT, Stack, wait_until

YES = {"bulkhead.dev/inject": "true"}
VALUES = {
    "stores": {"etcd": {"upstream": ["etcd.stores.svc:2379"]}, "nats": {"upstream": ["nats.stores.svc:4222"]}},
    "sidecar": {"hostNames": ["etcd", "nats"]},
}
NAMESPACES = {"bulkhead-system": {}, "stores": {}, "legacy": {}, "models": {}, "gateway": YES, "chosen": YES}
EXAMPLES = os.path.join(ROOT, "deploy", "sidecar-injector", "examples")
GOLDEN = os.path.join(ROOT, "tests", "more", "chart", "golden")
KUSTOMIZE = os.path.join(ROOT, "deploy", "sidecar-injector", "kustomize")
NOBODY = "kube-system"  # no webhook and no policy of ours looks there


def setUpModule():
    global stack, kube, hook
    stack = Stack("kube-proof")
    unittest.addModuleCleanup(stack.close)
    kube = ApiServer(stack, with_controllers=True)
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": labels}}
                for n, labels in NAMESPACES.items()])
    crds = sorted(glob.glob(os.path.join(os.environ["MORE_BIN"], "crds", "*.yaml")))
    assert len(crds) == 4, crds
    for crd in crds:
        kube.kubectl("create", "-f", crd)
        with open(crd) as f:
            name = yaml.safe_load(f)["metadata"]["name"]
        kube.kubectl("wait", "--for=condition=Established", "crd/" + name, "--timeout=60s")
    for namespace in (NOBODY, *NAMESPACES):
        wait_until(lambda n=namespace: kube.try_kubectl("get", "serviceaccount", "default", "-n", n).returncode == 0,
                   f"the default ServiceAccount of {namespace}")
    os.environ["INJECTOR"] = injector_binary()
    hook = Hook(kube, VALUES).start()
    hook.register()


# ---- pods ----

def valid(item):
    """The corpus' pod without what is there to try the injector's parser and no API server takes."""
    item = copy.deepcopy(item)
    item.update(apiVersion="v1", kind="Pod")
    metadata, spec = item.setdefault("metadata", {}), item["spec"]
    for field in ("managedFields", "namespace"):
        metadata.pop(field, None)
    if "name" not in metadata and "generateName" not in metadata:
        metadata["generateName"] = "corpus-"
    for field in ("priority", "tolerations"):
        spec.pop(field, None)
    for kind in ("labels", "annotations"):
        metadata[kind] = {k.replace("~", "-"): v for k, v in (metadata.get(kind) or {}).items()}
    for volume in spec.get("volumes") or []:
        if "projected" in volume:
            volume.clear()
            volume.update(name="kube-api-access-x", emptyDir={})
    containers = (spec.get("initContainers") or []) + spec["containers"]
    for number, container in enumerate(containers):
        container.setdefault("image", "example/image:1")
        for entry in container.get("env") or []:
            entry["name"] = entry["name"].replace("/", "_").replace("~", "_")
        mounts = {m["name"] for m in container.get("volumeMounts") or []}
        for name in mounts - {v["name"] for v in spec.get("volumes") or []}:
            spec["volumes"] = (spec.get("volumes") or []) + [{"name": name, "emptyDir": {}}]
    return item


def corpus():
    maker = patch_test.Maker(int(os.environ.get("PATCH_SEED", "8")))
    made = [maker.pod() for _ in range(int(os.environ.get("CORPUS_PODS", "60")))]
    return [valid(p) for p in inject_pods.corpus() + made]


def patched(item, response):
    if "patch" not in response:
        return item
    return jsonpatch.apply_patch(copy.deepcopy(item), json.loads(base64.b64decode(response["patch"])))


def without_tokens(spec):
    """The ServiceAccount plug-in's volume has a name by chance."""
    spec = copy.deepcopy(spec)
    token = lambda x: x["name"].startswith("kube-api-access-")
    spec["volumes"] = [v for v in spec["volumes"] if not token(v)]
    for container in spec.get("initContainers", []) + spec["containers"]:
        container["volumeMounts"] = [m for m in container.get("volumeMounts", []) if not token(m)]
    return spec


class Corpus(unittest.TestCase):
    maxDiff = None

    def taken(self, item, namespace=NOBODY):
        """The pod as it would be stored; None if it is refused, and self.why."""
        status, stored = kube.post_pod(item, namespace)
        self.why = (status, stored.get("message"))
        return stored if status == 201 else None

    def test_whatever_the_api_server_takes_it_takes_injected(self):
        for name, config in (*patch_test.CONFIGS.items(), ("uid-of-the-platform", {"uid": 0, "gid": 0})):
            injector = inject_pods.Injector("direct-" + name, stack.directory, {**patch_test.BASE, **config})
            self.addCleanup(injector.stop)
            connection, count = injector.connect(), 0
            for number, item in enumerate(corpus()):
                if self.taken(item) is None:
                    continue
                with self.subTest(config=name, number=number):
                    response = injector.review(item, connection=connection)
                    if response["allowed"]:
                        after = patched(item, response)
                        self.assertIsNotNone(self.taken(after), (self.why, item, after))
                        count += 1
            connection.close()
            injector.finish()
            print(f"{name}: {count} injected pods taken")
            self.assertGreater(count, 150)

    def test_the_webhook_and_the_patch_by_itself_make_the_same_pod(self):
        with open(hook.config) as f:
            config = json.load(f)
        injector = inject_pods.Injector("direct-chart", stack.directory, config)
        self.addCleanup(injector.stop)
        connection, count = injector.connect(), 0
        for number, item in enumerate(corpus()):
            if self.taken(item) is None:
                continue
            with self.subTest(number=number):
                response = injector.review(item, connection=connection, namespace="chosen")
                through = self.taken(item, "chosen")
                self.assertEqual(response["allowed"], through is not None, (response, self.why))
                if through is None:
                    continue
                alone = self.taken(patched(item, response))
                self.assertEqual(len(sidecars(through)), 1)
                self.assertEqual(without_tokens(through["spec"]), without_tokens(alone["spec"]))
                count += 1
        connection.close()
        injector.finish()
        print(f"{count} pods through the webhook")
        self.assertGreater(count, 150)


class Manifests(unittest.TestCase):
    """kubectl create --dry-run=server --validate=strict: unknown and doubled fields are errors."""

    def apply(self, items):
        for item in items:
            name = item["metadata"]["name"]
            item["metadata"]["name"] = "dry-" + name  # the chart's own are there already
            with self.subTest(kind=item["kind"], name=name):
                kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(item))

    def test_what_the_chart_renders(self):
        """The golden files hide the certificates, which are others each time."""
        with open(hook.certs.path("ca.crt"), "rb") as f:
            pem = f.read()
        for path in sorted(glob.glob(os.path.join(GOLDEN, "*.yaml"))):
            with self.subTest(golden=os.path.basename(path)):
                with open(path) as f:
                    text = f.read().replace("RANDOM", base64.b64encode(pem).decode())
                self.apply([i for i in yaml.safe_load_all(text) if i])

    def test_what_kustomize_builds(self):
        kustomize = os.path.join(os.environ["MORE"], "chart", "kustomize")
        targets = [os.path.join(KUSTOMIZE, "base"), os.path.join(KUSTOMIZE, "overlays", "cert-manager")]
        everything = stack.path("kustomize")
        os.mkdir(everything)
        components = sorted(os.listdir(os.path.join(KUSTOMIZE, "components")))
        relative = os.path.relpath(KUSTOMIZE, os.path.realpath(everything))
        with open(os.path.join(everything, "kustomization.yaml"), "w") as f:
            yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                            "resources": [f"{relative}/base"],
                            "components": [f"{relative}/components/{c}" for c in components]}, f)
        for target in (*targets, everything):
            with self.subTest(target=target):
                done = subprocess.run([kustomize, "build", "--load-restrictor", "LoadRestrictionsNone", target],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.apply([i for i in yaml.safe_load_all(done.stdout) if i and i["kind"] != "Namespace"])

    def test_examples_and_what_inject_makes_of_them(self):
        for path in sorted(glob.glob(os.path.join(EXAMPLES, "*.yaml"))):
            done = subprocess.run([injector_binary(), "inject", "--config", os.path.join(EXAMPLES, "config.json"),
                                   "-f", path], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path) as f:
                for text in (f.read(), done.stdout):
                    items = [i for i in yaml.safe_load_all(text) if i]
                    self.apply([i for i in items if i["kind"] != "DynamoGraphDeployment"])


class Told(unittest.TestCase):
    def test_audit_annotations(self):
        item = pod("audited", "chosen", annotations={"bulkhead.dev/namespace": "a/b"},
                   env=[{"name": "DYN_DISCOVERY_BACKEND", "value": "kubernetes"}])
        kube.create(item)
        said = {k.split("/", 1)[1]: v for k, v in kube.audited("audited").items()
                if k.startswith("pod.injector.bulkhead.dev/") or k.startswith("namespace.injector.bulkhead.dev/")}
        self.assertEqual({k: said[k] for k in ("result", "namespace", "view", "tier", "native")},
                         {"result": "injected", "namespace": "a/b", "view": "own", "tier": "environment",
                          "native": "true"})
        self.assertRegex(said["warning-1"], "NOT isolated")
        item = pod("audited-no", "chosen", annotations={"bulkhead.dev/namespace": "a//b"})
        self.assertNotEqual(kube.try_create(item).returncode, 0)
        said = " ".join(f"{k}={v}" for k, v in kube.audited("audited-no").items())
        self.assertIn("injector.bulkhead.dev/result=denied", said)
        self.assertIn("injector.bulkhead.dev/reason=claim", said)


class Controllers(unittest.TestCase):
    """Pods that nobody wrote: made by the controllers, through the webhook."""

    def pods(self, selector, namespace, count):
        def get():
            items = json.loads(kube.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json"))["items"]
            return items if len(items) >= count else None
        return wait_until(get, f"{count} pods {selector} in {namespace}")

    def check(self, items, owner):
        for item in items:
            self.assertEqual(item["metadata"]["ownerReferences"][0]["kind"], owner)
            first = item["spec"]["initContainers"][0]
            self.assertEqual((first["name"], first["restartPolicy"]), ("bulkhead", "Always"))
            # The token of the ServiceAccount is the application's, never the sidecar's.
            self.assertEqual([m["name"] for m in first["volumeMounts"]], ["bulkhead-no-token"])
            main = item["spec"]["containers"][0]
            self.assertTrue(any(m["name"].startswith("kube-api-access-") for m in main["volumeMounts"]))
            self.assertEqual(variable(main, "ETCD_ENDPOINTS"), "http://127.0.0.1:2379")

    def test_a_deployment(self):
        with open(os.path.join(EXAMPLES, "shared-root-frontend.yaml")) as f:
            kube.apply(next(i for i in yaml.safe_load_all(f) if i["kind"] == "Deployment"))
        self.check(self.pods("app=frontend", "gateway", 2), "ReplicaSet")

    def test_other_workloads(self):
        template = {"metadata": {"labels": {"app": "w", **YES}},
                    "spec": {"containers": [{"name": "main", "image": "example/app:1"}]}}
        selector = {"matchLabels": {"app": "w"}}
        once = copy.deepcopy(template)
        once["metadata"]["labels"] = {"app": "job", **YES}
        once["spec"]["restartPolicy"] = "Never"
        kube.apply([
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "set", "namespace": "models"},
             "spec": {"serviceName": "set", "selector": selector, "template": template}},
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "namespace": "models"},
             "spec": {"template": once}}])
        self.check(self.pods("app=w", "models", 1), "StatefulSet")
        self.check(self.pods("app=job", "models", 1), "Job")

    def test_a_deployment_that_is_denied_says_so_where_its_owner_looks(self):
        kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "wrong", "namespace": "models"},
                    "spec": {"selector": {"matchLabels": {"app": "wrong"}}, "template": {
                        "metadata": {"labels": {"app": "wrong", **YES},
                                     "annotations": {"bulkhead.dev/namespace": "a//b"}},
                        "spec": {"containers": [{"name": "main", "image": "example/app:1"}]}}}})
        def condition():
            status = json.loads(kube.kubectl("get", "deployment", "wrong", "-n", "models", "-o", "json"))["status"]
            return [c["message"] for c in status.get("conditions", []) if "denied the request" in c["message"]]
        self.assertRegex(wait_until(condition, "the Deployment's condition")[0], "a//b")


class Running(unittest.TestCase):
    """A pod that runs cannot get rid of its sidecar, swap it, or get containers that go around it."""

    def change(self, name, patch, *args, namespace="chosen"):
        return kube.try_kubectl("patch", "pod", name, "-n", namespace, "--type=strategic", "-p", json.dumps(patch), *args)

    def create(self, name, namespace="chosen", **annotations):
        kube.create(pod(name, namespace, annotations={f"bulkhead.dev/{k}": v for k, v in annotations.items()}))

    def test_images(self):
        self.create("images")
        ours = {"spec": {"initContainers": [{"name": "bulkhead", "image": "evil:1"}]}}
        self.assertIn("stays as it is", self.change("images", ours).stderr)
        theirs = {"spec": {"containers": [{"name": "main", "image": "example/app:2"}]}}
        self.assertEqual(self.change("images", theirs).returncode, 0)
        notes = {"metadata": {"annotations": {"bulkhead.dev/namespace": "another"}, "labels": {"x": "y"}}}
        self.assertEqual(self.change("images", notes).returncode, 0)
        got = json.loads(kube.kubectl("get", "pod", "images", "-n", "chosen", "-o", "json"))
        self.assertIn("--namespace=default", sidecars(got)[0]["args"])  # whatever the annotation says now

    def test_a_label_that_others_believe(self):
        kube.create(pod("label", "legacy"))
        labels = lambda value: {"metadata": {"labels": {"bulkhead.dev/inject": value}}}
        self.assertIn("must have the bulkhead sidecar", self.change("label", labels("true"), namespace="legacy").stderr)
        self.assertIn('can be "true" or "false"', self.change("label", labels("yes"), namespace="legacy").stderr)
        self.assertEqual(self.change("label", labels("false"), namespace="legacy").returncode, 0)

    def debug(self, name, container):
        container = {"name": "debugger", "image": "busybox", **container}
        return self.change(name, {"spec": {"ephemeralContainers": [container]}}, "--subresource=ephemeralcontainers",
                           "--dry-run=server")

    def test_debugging_containers(self):
        self.create("debugged")
        for container in ({"targetContainerName": "bulkhead"}, {"securityContext": {"runAsUser": 7077}},
                          {"securityContext": {"privileged": True}},
                          {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}):
            with self.subTest(container=container):
                self.assertIn("a debugging container may not", self.debug("debugged", container).stderr)
        for container in ({}, {"targetContainerName": "main"}, {"securityContext": {"runAsUser": 0}}):
            with self.subTest(container=container):
                self.assertEqual(self.debug("debugged", container).returncode, 0, self.debug("debugged", container).stderr)

    def test_debugging_containers_from_before_the_policy(self):
        """They stay in the pod for its life, so a policy that came (or grew stricter) later leaves them alone."""
        self.create("debugged-before")
        bindings = hook.of("ValidatingAdmissionPolicyBinding")
        add = lambda container, *args: self.change(
            "debugged-before", {"spec": {"ephemeralContainers": [{"image": "busybox", **container}]}},
            "--subresource=ephemeralcontainers", *args)
        before = {"name": "before", "securityContext": {"privileged": True}}
        try:
            for binding in bindings:
                kube.kubectl("delete", "validatingadmissionpolicybinding", binding["metadata"]["name"])
            wait_until(lambda: add(before, "--dry-run=server").returncode == 0, "the policy is gone")
            self.assertEqual(add(before).returncode, 0)
        finally:
            kube.apply(bindings)
        wait_until(lambda: self.debug("debugged-before", {"securityContext": {"privileged": True}}).returncode != 0,
                   "the policy is back")
        for refused in ({"name": "after", "securityContext": {"privileged": True}},
                        {"name": "after", "targetContainerName": "bulkhead"}):
            self.assertIn("a debugging container may not", add(refused).stderr)
        done = add({"name": "after"})
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.change("debugged-before", {"metadata": {"labels": {"x": "y"}}})
        self.assertEqual(done.returncode, 0, done.stderr)
        stored = json.loads(kube.kubectl("get", "pod", "debugged-before", "-n", "chosen", "-o", "json"))
        self.assertEqual({c["name"] for c in stored["spec"]["ephemeralContainers"]}, {"before", "after"})
        # The name excuses only what the API server keeps as it is.
        done = add({"name": "after", "securityContext": {"privileged": True}})
        self.assertIn("existing ephemeral containers", done.stderr)

    def test_debugging_containers_where_the_rules_are_enforced(self):
        kube.create(pod("enforced", "models", labels=YES,
                        annotations={"bulkhead.dev/tier": "redirect", "bulkhead.dev/enforce": "true"}))
        patch = {"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox", "securityContext": {"runAsUser": 0}}]}}
        say = lambda: self.change("enforced", patch, "--subresource=ephemeralcontainers", "--dry-run=server",
                                  namespace="models")
        self.assertIn("says a runAsUser other than 0", say().stderr)
        del patch["spec"]["ephemeralContainers"][0]["securityContext"]  # the pod's own is 1000
        self.assertIn("and allowPrivilegeEscalation: false", say().stderr)
        patch["spec"]["ephemeralContainers"][0]["securityContext"] = {"allowPrivilegeEscalation": False}
        self.assertEqual(say().returncode, 0, say().stderr)

    def test_pods_that_have_none_are_let_alone(self):
        kube.create(pod("stranger", "legacy"))
        self.assertEqual(kube.try_kubectl(
            "patch", "pod", "stranger", "-n", "legacy", "--subresource=ephemeralcontainers", "--type=strategic", "-p",
            json.dumps({"spec": {"ephemeralContainers": [{"name": "d", "image": "b", "securityContext": {"privileged": True}}]}}),
        ).returncode, 0)


class Upgrades(unittest.TestCase):
    """The chart's own certificate, by helm against a cluster that answers its lookup."""

    def helm(self, *args):
        done = subprocess.run([self.program, "--kubeconfig", kube.kubeconfig,
                               "--namespace", "self-signed", *args], capture_output=True, text=True,
                              env={**os.environ, "HOME": stack.directory})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def installed(self):
        """(certificate, caBundles) as they are in the cluster."""
        secrets = json.loads(kube.kubectl("get", "secret", "-n", "self-signed", "--field-selector=type=kubernetes.io/tls",
                                          "-o", "json"))["items"]
        hooks = json.loads(kube.kubectl("get", "mutatingwebhookconfiguration", "-l",
                                        "app.kubernetes.io/instance=kept", "-o", "json"))["items"]
        return ([s["data"]["tls.crt"] for s in secrets],
                {w["clientConfig"]["caBundle"] for h in hooks for w in h["webhooks"]})

    def test_the_certificate_is_kept(self):
        self.program = os.path.join(os.environ["MORE"], "chart", "helm")
        self.keep()

    def test_the_certificate_is_kept_by_helm_4(self):
        self.program = os.path.join(ROOT, "build", "helm", "helm")
        self.keep()

    def keep(self):
        values = os.path.join(CHART, "ci", "self-signed-values.yaml")
        # Its webhook has nobody behind it: it may be asked about no pod but its own few.
        quiet = ["--set", "webhook.failurePolicy=Ignore", "--set", "backstop.enabled=false"]
        self.addCleanup(self.helm, "uninstall", "kept")
        self.helm("install", "kept", CHART, "--create-namespace", "--values", values, *quiet)
        first = self.installed()
        self.assertEqual((len(first[0]), len(first[1])), (1, 1))
        for number in range(2):
            self.helm("upgrade", "kept", CHART, "--values", values, *quiet, "--set", f"replicaCount={number + 2}")
            self.assertEqual(self.installed(), first)
        # The API server would believe it: the bundle signs the certificate, for the Service's name.
        for name, data in (("ca", first[1].pop()), ("crt", first[0][0])):
            with open(stack.path("kept." + name), "wb") as f:
                f.write(base64.b64decode(data))
        done = subprocess.run(["openssl", "verify", "-CAfile", stack.path("kept.ca"), "-verify_hostname",
                               "kept-bulkhead-injector.self-signed.svc", stack.path("kept.crt")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
