# SPDX-License-Identifier: Apache-2.0
"""The DynamoGraphDeployments of the examples: the pods that the operator makes of them, injected by the webhook,
started in network namespaces, each tier; and one frontend at the root above all of them."""

import copy
import os
import unittest

import kubelet
import operator_pods
import podstory
import pods as places
import stack as real

try:
    import yaml
except ImportError as e:
    raise SystemExit(f"{e}: scripts/test installs it (apt-get install python3-yaml)")

EXAMPLES = os.path.join(real.ROOT, "deploy", "sidecar-injector", "examples")
IMAGE_USER = 1000  # Dynamo's images: the pods of the operator say no user


def documents(name, kind):
    with open(os.path.join(EXAMPLES, name)) as f:
        return [d for d in yaml.safe_load_all(f) if d["kind"] == kind]


class Graphs(podstory.Story):
    def setUp(self):
        super().setUp()
        self.webhook = self.stack._start(kubelet.Webhook, "webhook", self.stack.directory, os.path.join(EXAMPLES, "config.json"))

    def start(self, pod, kubernetes_namespace, path):
        """Admitted and started; its container main, whose image knows the stores by address too."""
        admitted = self.webhook.admit(pod, kubernetes_namespace, path)
        status = yaml.safe_load(admitted["metadata"]["annotations"]["bulkhead.dev/status"])
        place = kubelet.start(self.cluster, admitted, status["namespace"])
        main, = [c for c in admitted["spec"]["containers"] if c["name"] == "main"]
        user = (IMAGE_USER, places.NO_CAPS) if "securityContext" not in main else kubelet.user_of(admitted, main)
        return podstory.App(place, f"http://{place.store}:2379", f"nats://{place.store}:4222",
                            kubelet.environment_of(admitted, main), user)

    def graph(self, graph, only=None, **annotations):
        """{service: [App]} of one DynamoGraphDeployment; the annotations as its author adds them."""
        graph = copy.deepcopy(graph)
        graph["spec"]["annotations"].update({f"bulkhead.dev/{k}": v for k, v in annotations.items()})
        apps = {}
        for name, pod in operator_pods.pods_of(graph):
            if only is None or name == only and name not in apps:
                apps.setdefault(name, []).append(self.start(pod, graph["metadata"]["namespace"], "/mutate"))
        return apps

    def versions(self, **annotations):
        """The decode worker of each of the two versions."""
        return [self.graph(g, "VllmDecodeWorker", **annotations)["VllmDecodeWorker"][0]
                for g in documents("two-versions.yaml", "DynamoGraphDeployment")]

    def test_a_loopback(self):
        self.story(*self.versions(tier="loopback"), "", "nats://localhost:4222")

    def test_b_environment_as_the_example_is(self):
        a, b = self.versions()
        self.assertEqual(("llama-8b/version-A", "llama-8b/version-B"), (a.env["DYNAMO_NAMESPACE"], b.env["DYNAMO_NAMESPACE"]))
        # Dynamo's own word is left: metrics and planners go by it. Discovery was switched by the annotation.
        self.assertEqual(("models-llama-8b-a", "etcd"), (a.env["DYN_NAMESPACE"], a.env["DYN_DISCOVERY_BACKEND"]))
        self.story(a, b, "--endpoints $ETCD_ENDPOINTS", "$NATS_SERVER")

    def test_c_host_names(self):
        self.story(*self.versions(tier="hosts"), "--endpoints http://etcd:2379", "nats://nats:4222")

    def test_d_redirect(self):
        self.story(*self.versions(tier="redirect"), "--endpoints $ETCD", "$NATS")

    def test_a_frontend_at_the_root_sees_them_all_and_they_see_nothing_of_it(self):
        """Every pod of the three examples at once: Dynamo's own keys and subjects."""
        root = self.start(self.root_frontend(), "gateway", "/mutate/namespace")
        (model1,) = documents("dynamographdeployment.yaml", "DynamoGraphDeployment")
        model1 = self.graph(model1)
        self.assertEqual({"Frontend": 1, "VllmDecodeWorker": 2}, {k: len(v) for k, v in model1.items()})
        front = model1["Frontend"][0]
        self.assertEqual("dynamo", front.env["DYN_NAMESPACE"])
        self.assertNotIn("DYN_NAMESPACE_PREFIX", front.env)
        a, b = self.versions()
        key, to = "v1/instances/dynamo/backend/generate", "--endpoints $ETCD_ENDPOINTS"
        workers = {"m1": model1["VllmDecodeWorker"][0], "m2": model1["VllmDecodeWorker"][1], "a": a, "b": b}
        for name, worker in workers.items():
            self.assertEqual("OK", worker.do(f"etcdctl {to} put {key}/{name} {name}"))
        seen = lambda app: sorted(l.rsplit("/", 1)[1] for l in app.do(f"etcdctl {to} get --prefix --keys-only {key}/").split())
        self.assertEqual(["a", "b", "m1", "m2"], seen(root))
        self.assertEqual(["m1", "m2"], seen(front))
        self.assertEqual(["m1", "m2"], seen(workers["m1"]))
        self.assertEqual(["a"], seen(a))
        # A request to one instance: down from the root, not across.
        subject = "backend.generate-0123456789abcdef"
        service = a.start(f"nats_client $NATS_SERVER reply {subject} 'A at your service'", "listening")
        self.assertEqual("A at your service", root.do(f"nats_client $NATS_SERVER request {subject} please"))
        for stranger in (front, b, workers["m2"]):
            self.assertEqual("no responders", stranger.do(f"nats_client $NATS_SERVER request {subject} please"))
        service.stop()
        # What the root writes is the root's.
        self.assertEqual("OK", root.do(f"etcdctl {to} put {key}/own x"))
        self.assertEqual(["a"], seen(a))
        self.assertEqual([], [k for k in self.cluster.stored() if not k.startswith("bh/")])

    def root_frontend(self):
        deployment, = documents("shared-root-frontend.yaml", "Deployment")
        return {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(deployment["spec"]["template"])}


if __name__ == "__main__":
    unittest.main(verbosity=2)
