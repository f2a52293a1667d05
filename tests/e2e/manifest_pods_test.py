# SPDX-License-Identifier: Apache-2.0
"""The example manifests, injected by the webhook, as pods in network namespaces: two tenants of each
tier, their applications started with what the webhook put into their environment."""

import copy
import os
import signal
import unittest

import drain_test
import kubelet
import podstory
import stack as real

try:
    import yaml
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (apt-get install python3-yaml)")

EXAMPLES = os.path.join(real.ROOT, "deploy", "sidecar-injector", "examples")


def example(name):
    """The first pod of the file and its Kubernetes namespace."""
    with open(os.path.join(EXAMPLES, name)) as f:
        for document in yaml.safe_load_all(f):
            if document["kind"] == "Pod":
                return document, document["metadata"].pop("namespace")
    raise real.StackError(f"{name} has no pod")


class ManifestPods(podstory.Story):
    def setUp(self):
        super().setUp()
        self.webhook = self.stack._start(kubelet.Webhook, "webhook", self.stack.directory, os.path.join(EXAMPLES, "config.json"))

    def app(self, pod, kubernetes_namespace):
        """Admitted, started; its application container, with the stores' addresses as an image has them."""
        namespace = pod["metadata"]["annotations"]["bulkhead.dev/namespace"]
        admitted = self.webhook.admit(pod, kubernetes_namespace)
        main = next(c for c in admitted["spec"]["containers"] if c["name"] == "main")
        place = kubelet.start(self.cluster, admitted, namespace)
        return podstory.App(place, f"http://{place.store}:2379", f"nats://{place.store}:4222",
                            kubelet.environment_of(admitted, main), kubelet.user_of(admitted, main))

    def tenants(self, **annotations):
        apps = []
        for version in ("version-A", "version-B"):
            pod, kubernetes_namespace = example("manual-pod.yaml")
            pod = copy.deepcopy(pod)
            pod["metadata"]["annotations"].update({f"bulkhead.dev/{k}": v for k, v in annotations.items()})
            pod["metadata"]["annotations"]["bulkhead.dev/namespace"] = f"llama-8b/{version}"
            apps.append(self.app(pod, kubernetes_namespace))
        return apps

    def test_a_loopback(self):
        self.story(*self.tenants(tier="loopback"), "", "nats://localhost:4222")

    def test_b_environment(self):
        a, b = self.tenants()
        self.assertEqual("llama-8b/version-A", a.env["DYNAMO_NAMESPACE"])
        self.story(a, b, "--endpoints $ETCD_ENDPOINTS", "$NATS_SERVER")

    def test_c_host_names(self):
        self.story(*self.tenants(tier="hosts"), "--endpoints http://etcd:2379", "nats://nats:4222")

    def test_d_redirect(self):
        self.story(*self.tenants(tier="redirect", enforce="true"), "--endpoints $ETCD", "$NATS")

    def test_a_classic_sidecar_lets_the_lease_revocation_through(self):
        """All containers of the pod get SIGTERM at once; the application's comes through last."""
        a, b = self.tenants(native="false")
        self.story(a, b, "--endpoints $ETCD_ENDPOINTS", "$NATS_SERVER")
        worker = a.pod.start(a.role, ["/usr/bin/python3", "-c", drain_test.APP, "127.0.0.1:2379", "same"])
        worker.until(lambda: "serving" in worker.out(), "the worker has its lease")
        key = "bh/d/llama-8b/version-A.instances/worker"
        self.assertIn(key, self.cluster.stored())
        sidecar, = a.pod.sidecars
        sidecar.send_signal(signal.SIGTERM)
        sidecar.until(lambda: "draining" in sidecar.log(), "the sidecar drains")
        worker.send_signal(signal.SIGTERM)
        real.wait_until(lambda: not worker.running(), "the worker ends")
        self.assertEqual((0, "revoked"), (worker.popen.returncode, worker.out().split()[-1]), worker.log())
        self.assertNotIn(key, self.cluster.stored())
        self.assertEqual(0, sidecar.popen.wait(real.WAIT_S))

    def test_the_legacy_pod_as_it_is(self):
        app = self.app(*example("legacy-pod-redirect.yaml"))
        self.assertEqual("OK", app.do("etcdctl --endpoints $ETCD put k v"))
        self.assertEqual("published", app.do("nats_client $NATS pub work x"))
        self.assertIn("bh/d/legacy.k", self.cluster.stored())
        self.assertEqual("ECONNREFUSED", app.pod.connect(app.pod.store, 2380))


if __name__ == "__main__":
    unittest.main(verbosity=2)
