# SPDX-License-Identifier: Apache-2.0
"""The injector behind a real API server, registered by the chart: what is stored, what is refused, what
happens without it."""

import copy
import json
import os
import re
import unittest

import yaml

from hook import Hook
from kube_stack import ApiServer
from other_hook import OtherHook
from kube_pods import pod, sidecars, variable, without_sidecar
from stack import ROOT, Stack, wait_until

VALUES = {
    "stores": {"etcd": {"upstream": ["etcd.stores.svc:2379"]}, "nats": {"upstream": ["nats.stores.svc:4222"]}},
    "sidecar": {"hostNames": ["etcd", "nats"]},
    "backstop": {"allowOptOut": False, "imagePrefixes": ["ghcr.io/bulkhead/bulkhead:"]},
    "networkPolicy": {"enabled": True, "stores": {"enabled": True, "namespace": "stores"}},
    "policy": [
        {"kubernetesNamespaces": ["team-*"], "claims": ["{kubernetes-namespace}", "shared"]},
        {"kubernetesNamespaces": ["gateway"], "claims": ["*"], "view": "subtree"},
        {"kubernetesNamespaces": ["plain", "chosen", "strict", "models"],
         "claims": ["model1", "llama-8b", "default"], "view": "subtree"},
        {"kubernetesNamespaces": ["legacy"], "claims": ["legacy"]},
    ],
}
NAMESPACES = {"bulkhead-system": {}, "stores": {}, "plain": {}, "team-a": {}, "team-b": {}, "models": {},
              "chosen": {"bulkhead.dev/inject": "true"}, "declined": {"bulkhead.dev/inject": "false"},
              "strict": {"pod-security.kubernetes.io/enforce": "restricted"},
              "mistyped": {"bulkhead.dev/inject": "yes"}, "team-old": {}}
YES = {"bulkhead.dev/inject": "true"}


def setUpModule():
    global stack, kube, hook
    stack = Stack("kube")
    unittest.addModuleCleanup(stack.close)
    kube = ApiServer(stack)
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": labels}}
                for n, labels in NAMESPACES.items()])
    hook = Hook(kube, VALUES).start()
    hook.register()


class Case(unittest.TestCase):
    maxDiff = None

    def stored(self, item, *args):
        got, self.warnings = kube.create(item, *args)
        return got

    def refused(self, item, *says):
        done = kube.try_create(item)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        for text in says:
            self.assertIn(text, done.stderr)
        return done.stderr

    def assert_injected(self, stored, namespace, view="own"):
        found = sidecars(stored)
        self.assertEqual(len(found), 1, stored)
        sidecar = found[0]
        self.assertEqual(stored["spec"]["initContainers"][0]["name"], "bulkhead")
        self.assertEqual(sidecar["restartPolicy"], "Always")
        self.assertIn(f"--namespace={namespace}", sidecar["args"])
        self.assertIn(f"--view={view}", sidecar["args"])
        self.assertIn("--etcd-upstream=etcd.stores.svc:2379", sidecar["args"])
        self.assertIn("--nats-upstream=nats.stores.svc:4222", sidecar["args"])
        self.assertEqual(sidecar["securityContext"], {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "privileged": False,
            "readOnlyRootFilesystem": True, "runAsGroup": 7077, "runAsNonRoot": True, "runAsUser": 7077,
            "seccompProfile": {"type": "RuntimeDefault"}})
        for kind in ("requests", "limits"):
            self.assertEqual(set(sidecar["resources"][kind]), {"cpu", "memory"})
        self.assertIn("startupProbe", sidecar)
        status = json.loads(stored["metadata"]["annotations"]["bulkhead.dev/status"])
        self.assertEqual((status["namespace"], status["view"]), (namespace, view))
        for container in stored["spec"]["containers"] + stored["spec"]["initContainers"][1:]:
            self.assertEqual(variable(container, "ETCD_ENDPOINTS"), "http://127.0.0.1:2379")
            self.assertEqual(variable(container, "NATS_SERVER"), "nats://127.0.0.1:4222")
            self.assertEqual(variable(container, "DYNAMO_NAMESPACE"), namespace)


class Injected(Case):
    def test_a_pod_that_asks_and_what_stays_the_users(self):
        item = pod("asks", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a/v1"},
                   init=["prepare"], env=[{"name": "ETCD_ENDPOINTS", "value": "http://etcd:2379"},
                                          {"name": "MINE", "value": "stays"}],
                   volumes=[{"name": "scratch", "emptyDir": {}}])
        stored = self.stored(item)
        self.assert_injected(stored, "team-a/v1")
        self.assertEqual([c["name"] for c in stored["spec"]["initContainers"]], ["bulkhead", "prepare"])
        # The same pod where nobody injects: what the API server itself makes of it.
        plain = copy.deepcopy(item)
        plain["metadata"] = {"name": "asks", "namespace": "declined"}
        plain = without_sidecar(self.stored(plain))
        plain["metadata"]["namespace"] = "team-a"
        self.assertEqual(without_sidecar(stored), plain)

    def test_a_namespace_that_asks_for_all_its_pods(self):
        stored = self.stored(pod("any", "chosen"))
        self.assert_injected(stored, "default")

    def test_dynamo_by_label(self):
        stored = self.stored(pod("label", "team-a", labels={"nvidia.com/dynamo-namespace": "team-a"}))
        self.assert_injected(stored, "team-a")
        stored = self.stored(pod("graph", "plain", labels={"nvidia.com/dynamo-graph-deployment-name": "g"},
                                 annotations={"bulkhead.dev/namespace": "default/model1"}))
        self.assert_injected(stored, "model1")

    def test_dynamo_by_variable(self):
        stored = self.stored(pod("variable", "team-b", env=[{"name": "DYN_NAMESPACE", "value": "team-b"}]))
        self.assert_injected(stored, "team-b")

    def test_a_frontend_sees_what_is_below(self):
        labels = {"nvidia.com/dynamo-namespace": "model1", "nvidia.com/dynamo-component-type": "frontend"}
        self.assert_injected(self.stored(pod("frontend", "models", labels=labels)), "model1", view="subtree")
        labels["nvidia.com/dynamo-component-type"] = "worker"
        self.assert_injected(self.stored(pod("other-worker", "models", labels=labels)), "model1")

    def test_pods_of_controllers_have_no_name_yet(self):
        item = pod("x", "team-a", labels={**YES, "pod-template-hash": "abc"})
        del item["metadata"]["name"]
        item["metadata"]["generateName"] = "worker-abc-"
        item["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "worker-abc",
                                                "uid": "00000000-0000-0000-0000-000000000001", "controller": True}]
        item["metadata"]["annotations"] = {"bulkhead.dev/namespace": "team-a"}
        stored = self.stored(item)
        self.assertRegex(stored["metadata"]["name"], "^worker-abc-.....$")
        self.assert_injected(stored, "team-a")

    def test_pod_security_restricted_takes_our_containers(self):
        item = pod("strict", "strict", labels=YES, annotations={"bulkhead.dev/namespace": "model1"})
        self.assert_injected(self.stored(item), "model1")
        item["metadata"]["name"] = "redirected"
        item["metadata"]["annotations"]["bulkhead.dev/tier"] = "redirect"
        text = self.refused(item, "violates PodSecurity", "bulkhead-redirect", "NET_ADMIN")
        self.assertEqual(set(re.findall(r'container "([^"]+)"', text)), {"bulkhead-redirect"})

    def test_dry_run_shows_and_stores_nothing(self):
        item = pod("dry", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"})
        self.assert_injected(self.stored(item, "--dry-run=server"), "team-a")
        self.assertIn("NotFound", kube.try_kubectl("get", "pod", "dry", "-n", "team-a").stderr)

    def test_what_was_injected_stays_as_it_is(self):
        item = pod("again", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"}, init=["i"])
        first = self.stored(item)
        again = copy.deepcopy(first)
        again["metadata"] = {"name": "again-2", "namespace": "team-a", "labels": first["metadata"]["labels"],
                             "annotations": first["metadata"]["annotations"]}
        again.pop("status")
        unchanged = hook.counter("requests_total", result="unchanged")
        second = self.stored(again)
        self.assertEqual(second["spec"], first["spec"])
        self.assertEqual(second["metadata"]["annotations"], first["metadata"]["annotations"])
        self.assertEqual(hook.counter("requests_total", result="unchanged"), unchanged + 1)

    def test_warnings_reach_people(self):
        item = pod("warned", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"},
                   env=[{"name": "DYN_DISCOVERY_BACKEND", "value": "kubernetes"}])
        self.stored(item)
        self.assertRegex(self.warnings, r"Warning: bulkhead: .*NOT isolated")
        item["metadata"]["name"] = "switched"
        item["metadata"]["annotations"]["bulkhead.dev/dynamo-discovery"] = "etcd"
        stored = self.stored(item)
        self.assertEqual(variable(stored["spec"]["containers"][0], "DYN_DISCOVERY_BACKEND"), "etcd")


class Repaired(Case):
    def test_a_sidecar_that_another_webhook_spoiled(self):
        other = OtherHook(hook.certs)
        self.addCleanup(other.close)
        kube.apply(other.registration("team-old"))
        self.addCleanup(kube.kubectl, "delete", "mutatingwebhookconfiguration", "zz-old-operator")
        item = pod("spoiled", "team-old", labels=YES, annotations={"bulkhead.dev/namespace": "team-old"},
                   init=["prepare"])
        def is_called():
            self.stored(item, "--dry-run=server")
            return other.server.stripped
        wait_until(is_called, "the other webhook is called")
        stripped = other.server.stripped
        stored = self.stored(item)
        self.assertGreater(other.server.stripped, stripped)
        self.assert_injected(stored, "team-old")


class LeftAlone(Case):
    def test_pods_without_a_reason_never_reach_the_injector(self):
        before = hook.counter("requests_total")
        for namespace in ("plain", "declined", "bulkhead-system", "kube-system"):
            self.assertEqual(sidecars(self.stored(pod("quiet", namespace))), [])
        # Dynamo's pods where the namespace declines, and the system's whatever they say.
        labels = {"nvidia.com/dynamo-namespace": "x"}
        self.assertEqual(sidecars(self.stored(pod("dynamo", "declined", labels=labels))), [])
        self.assertEqual(sidecars(self.stored(pod("asks", "kube-system", labels=YES))), [])
        self.assertEqual(hook.counter("requests_total"), before)

    def test_a_pod_may_decline(self):
        item = pod("declines", "plain", labels={"bulkhead.dev/inject": "false", "nvidia.com/dynamo-namespace": "x"})
        self.assertEqual(sidecars(self.stored(item)), [])

    def test_one_pod_is_asked_about_once(self):
        before = hook.counter("requests_total")
        self.stored(pod("once", "chosen", labels={"nvidia.com/dynamo-namespace": "model1",
                                                  "nvidia.com/dynamo-graph-deployment-name": "g"},
                        env=[{"name": "DYN_NAMESPACE", "value": "model1"}]))
        self.assertEqual(hook.counter("requests_total"), before + 1)


class Refused(Case):
    def test_a_claim_that_the_policy_does_not_allow(self):
        item = pod("thief", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-b"})
        text = self.refused(item, "denied the request", "thief", "team-b")
        self.assertIn('admission webhook "pod.injector.bulkhead.dev"', text)
        self.assertIn("NotFound", kube.try_kubectl("get", "pod", "thief", "-n", "team-a").stderr)
        item["metadata"]["annotations"]["bulkhead.dev/namespace"] = "default"
        self.refused(item, "denied the request")

    def test_two_claims_that_disagree(self):
        self.refused(pod("torn", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"},
                         env=[{"name": "DYNAMO_NAMESPACE", "value": "team-a/x"}]), "denied the request", "torn")

    def test_words_that_mean_nothing(self):
        self.refused(pod("maybe", "plain", labels={"bulkhead.dev/inject": "maybe"}), "maybe", "true")
        self.refused(pod("typo", "team-a", labels=YES, annotations={"bulkhead.dev/namespce": "team-a"}),
                     "bulkhead.dev/namespace")

    def test_a_pod_on_the_host_network(self):
        self.refused(pod("host", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"},
                         hostNetwork=True), "hostNetwork")


class Backstop(Case):
    """What the ValidatingAdmissionPolicy refuses by itself, with the webhook's registration gone."""

    @classmethod
    def setUpClass(cls):
        name = hook.of("MutatingWebhookConfiguration")[0]["metadata"]["name"]
        kube.kubectl("delete", "mutatingwebhookconfiguration", name)
        cls.addClassCleanup(hook.register)
        probe = pod("gone", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"})
        wait_until(lambda: "ValidatingAdmissionPolicy" in kube.try_create(probe, "--dry-run=server").stderr,
                   "the webhook is no longer called and the policy refuses")

    def test_whatever_should_have_a_sidecar(self):
        self.refused(pod("a", "team-a", labels=YES), "must have the bulkhead sidecar")
        self.refused(pod("b", "chosen"), "must have the bulkhead sidecar")
        self.refused(pod("c", "plain", labels={"nvidia.com/dynamo-namespace": "x"}), "must have the bulkhead sidecar")
        self.refused(pod("d", "plain", env=[{"name": "DYN_NAMESPACE", "value": "x"}]), "must have the bulkhead sidecar")
        item = pod("e", "plain", init=["i"])
        item["spec"]["initContainers"][0]["env"] = [{"name": "DYNAMO_NAMESPACE", "value": "x"}]
        self.refused(item, "must have the bulkhead sidecar")

    def test_nothing_else(self):
        self.stored(pod("a", "plain"))
        self.stored(pod("b", "declined", labels={"nvidia.com/dynamo-namespace": "x"}))
        self.stored(pod("c", "plain", labels={"bulkhead.dev/inject": "false", "nvidia.com/dynamo-namespace": "x"}))
        self.stored(pod("d", "kube-system", labels=YES))

    def test_a_sidecar_that_is_none(self):
        item = pod("plain-init", "team-a", labels=YES, init=["bulkhead"])
        item["spec"]["initContainers"][0]["image"] = "ghcr.io/bulkhead/bulkhead:1"
        self.refused(item, "must have the bulkhead sidecar")
        item["spec"]["initContainers"][0]["restartPolicy"] = "Always"
        self.stored(item)
        item["metadata"]["name"] = "other-image"
        item["spec"]["initContainers"][0]["image"] = "example/other:1"
        self.refused(item, "must be the sidecar's own image")

    def test_opting_out_where_the_namespace_asks(self):
        self.refused(pod("out", "chosen", labels={"bulkhead.dev/inject": "false"}), "may not opt out")

    def test_labels_that_mean_nothing(self):
        self.refused(pod("a", "plain", labels={"bulkhead.dev/inject": "yes"}), 'it can be "true" or "false"')
        self.refused(pod("b", "mistyped"), "of namespace mistyped")


class WithoutInjector(Case):
    def test_it_fails_closed_for_its_pods_only_and_comes_back(self):
        asks = pod("closed", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"})
        hook.stop()
        try:
            self.refused(asks, "failed calling webhook", "pod.injector.bulkhead.dev")
            self.stored(pod("open", "plain"))
        finally:
            hook.start()
        self.assert_injected(self.stored(asks), "team-a")

    def test_a_renewed_certificate_is_taken_while_it_runs(self):
        def serial():
            done = os.popen(f"openssl s_client -connect 127.0.0.1:{hook.port} </dev/null 2>/dev/null | "
                            "openssl x509 -noout -serial")
            with done:
                return done.read()
        before = serial()
        self.assertIn("serial=", before)
        hook.new_certificate()
        wait_until(lambda: serial() not in ("", before), "the injector serves the new certificate")
        self.assert_injected(self.stored(pod("renewed", "team-a", labels=YES,
                                             annotations={"bulkhead.dev/namespace": "team-a"})), "team-a")


class Examples(Case):
    """Each manifest of deploy/sidecar-injector/examples whose kinds the API server has by itself."""

    def test_examples_are_taken_as_they_are(self):
        folder = os.path.join(ROOT, "deploy", "sidecar-injector", "examples")
        applied = 0
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".yaml"):
                continue
            with open(os.path.join(folder, name)) as f:
                items = [i for i in yaml.safe_load_all(f) if i]
            # manual-pod.yaml and its injected twin have one name: the twin is what people apply.
            items = [i for i in items if i["apiVersion"] != "nvidia.com/v1alpha1" and name != "manual-pod.yaml"]
            for item in items:
                with self.subTest(file=name, kind=item["kind"]):
                    kube.apply(item)
                    applied += 1
        self.assertGreater(applied, 4)
        legacy = json.loads(kube.kubectl("get", "pod", "batch", "-n", "legacy", "-o", "json"))
        self.assertEqual([c["name"] for c in legacy["spec"]["initContainers"]], ["bulkhead-redirect", "bulkhead"])
        # What `inject` printed is what the webhook makes: it had nothing to add.
        manual = json.loads(kube.kubectl("get", "pod", "worker", "-n", "models", "-o", "json"))
        self.assert_injected(manual, "llama-8b/version-A")

    def test_pods_of_the_shared_frontend(self):
        kube.apply({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": "gateway", "labels": {"bulkhead.dev/inject": "true"}}})
        with open(os.path.join(ROOT, "deploy", "sidecar-injector", "examples", "shared-root-frontend.yaml")) as f:
            template = next(i for i in yaml.safe_load_all(f) if i["kind"] == "Deployment")["spec"]["template"]
        item = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}
        item["metadata"].update(generateName="frontend-", namespace="gateway")
        self.assert_injected(self.stored(item), "default", view="subtree")


class Latency(Case):
    def test_what_the_api_server_measures(self):
        item = pod("x", "team-a", labels=YES, annotations={"bulkhead.dev/namespace": "team-a"})
        del item["metadata"]["name"]
        item["metadata"]["generateName"] = "latency-"
        def measured():
            text = kube.metrics()
            total = count = 0.0
            for what, value in re.findall(
                    r'apiserver_admission_webhook_admission_duration_seconds_(sum|count)'
                    r'\{name="pod.injector.bulkhead.dev"[^}]*\} (\S+)', text):
                total, count = (total + float(value), count) if what == "sum" else (total, count + float(value))
            return total, count
        before = measured()
        items = {"apiVersion": "v1", "kind": "List", "items": [item] * 50}
        kube.kubectl("create", "-f", "-", stdin=json.dumps(items))
        total, count = (b - a for a, b in zip(before, measured()))
        self.assertGreaterEqual(count, 50)
        print(f"admission by the API server's clock: {1000 * total / count:.2f} ms a pod over {int(count)}")
        self.assertLess(total / count, 0.25)


if __name__ == "__main__":
    unittest.main()
