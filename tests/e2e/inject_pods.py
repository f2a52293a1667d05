# SPDX-License-Identifier: Apache-2.0
"""Some hundred pods in the shapes that operators make, and hostile ones; the injector as a process.

The corpus is made by combination, always the same: frontends, workers, planners of Dynamo's operator,
plain and multi-node, with every way to set a variable, and pods that somebody else has been at.
"""
import itertools
import json
import os
import re
import ssl
import subprocess
import http.client

from stack import Process, StackError

CONFIG = {
    "image": "registry.example/bulkhead:1", "etcd-upstream": ["http://etcd.stores:2379"],
    "nats-upstream": ["nats://nats.stores:4222"],
}


def binary():
    path = os.path.abspath(os.environ.get("INJECTOR", ""))
    if not os.access(path, os.X_OK):
        raise StackError("INJECTOR must name the bulkhead-injector program (ctest sets it)")
    return path


def certificate(directory, name="server", names="DNS:inj.ns.svc,DNS:localhost,IP:127.0.0.1", days=2):
    """PEM files of a certificate that is its own authority."""
    cert, key = (os.path.join(directory, name + end) for end in (".pem", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", str(days), "-keyout", key, "-out", cert, "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=" + names], check=True, capture_output=True)
    return cert, key


class Injector(Process):
    """`bulkhead-injector serve`; .webhook and .health are (host, port)."""

    def __init__(self, name, directory, config=None, args=()):
        self.config = os.path.join(directory, name + ".json")
        self.write_config({**CONFIG, **(config or {})})
        self.cert, self.key = certificate(directory, name)
        if "--drain-ms" not in args:
            args = ("--drain-ms", "0", *args)
        super().__init__(name, [binary(), "serve", "--config", self.config, "--tls-cert", self.cert,
                                "--tls-key", self.key, "--listen", "127.0.0.1:0", "--health-listen",
                                "127.0.0.1:0", "--log-level", "debug", *args], directory, stdout_is_log=False)
        ready = self.until(lambda: re.search(r"^ready webhook=(\S+):(\d+) health=(\S+):(\d+)$", self.out(), re.M),
                           "the ready line")
        self.webhook = (ready.group(1), int(ready.group(2)))
        self.health = (ready.group(3), int(ready.group(4)))

    def write_config(self, config):
        with open(self.config + ".new", "w") as f:
            json.dump(config, f)
        os.replace(self.config + ".new", self.config)

    def tls(self):
        context = ssl.create_default_context(cafile=self.cert)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.webhook[1], timeout=30, context=self.tls())

    def post(self, body, path="/mutate?timeout=5s", headers=None, connection=None):
        """(status, body as text) of one request."""
        c = connection or self.connect()
        c.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        r = c.getresponse()
        text = r.read().decode()
        if connection is None:
            c.close()
        return r.status, text

    def review(self, pod, path="/mutate", connection=None, **request):
        """The response object of the review of a pod."""
        status, text = self.post(json.dumps(review(pod, **request)), path, connection=connection)
        if status != 200:
            raise StackError(f"status {status}: {text}")
        answer = json.loads(text)
        if answer["apiVersion"] != "admission.k8s.io/v1" or answer["kind"] != "AdmissionReview":
            raise StackError(text)
        return answer["response"]

    def get(self, path):
        c = http.client.HTTPConnection(*self.health, timeout=30)
        c.request("GET", path)
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return r.status, text

    def finish(self):
        """SIGTERM: it ends by itself with status 0, which also says that no handle was left."""
        status = self.stop()
        log = self.log()
        if status != 0 or "Sanitizer" in log or "runtime error:" in log or "check failed" in log:
            raise StackError(f"{self.name} ended with {status}\n{log[-6000:]}")


def review(pod, **request):
    """An AdmissionReview as the API server writes it."""
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "team-a",
        "operation": "CREATE", "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod, "oldObject": None, "dryRun": False, "options": {"kind": "CreateOptions"}, **request}}


def variable(name, how):
    return {"value": {"name": name, "value": "somewhere:1"},
            "secret": {"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            "twice": {"name": name, "value": "a"},
            "expanded": {"name": name, "value": "$(OTHER):2379"}}[how]


def container(name, how, more=None):
    env = [variable(n, how) for n in ("ETCD_ENDPOINTS", "NATS_SERVER", "NATS_URL")] if how != "none" else None
    if how == "twice":
        env = env + [{"name": "X", "value": "$(NATS_SERVER)"}] + env
    c = {"name": name, "image": "r/x:1", "resources": {"limits": {"nvidia.com/gpu": "1"}},
         "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}
    if env is not None:
        c["env"] = env
    return {**c, **(more or {})}


def operator_pods():
    """Pods of Dynamo's operator: Deployment, LeaderWorkerSet and Grove make the same templates."""
    types = ("frontend", "worker", "prefill", "decode", "planner", "epp", "default")
    hows = ("none", "value", "secret", "twice", "expanded")
    extras = ("plain", "init", "envFrom", "annotated", "null")
    for kind, how, extra in itertools.product(types, hows, extras):
        main = container("main", how)
        main.setdefault("env", []).extend([
            {"name": "DYN_NAMESPACE", "value": "team-a-llama"}, {"name": "DYN_COMPONENT", "value": kind},
            {"name": "DYN_NAMESPACE_PREFIX", "value": "team-a-llama"}, {"name": "NATS_AUTH_TOKEN", "value": "t"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {
            "generateName": f"llama-{kind}-", "creationTimestamp": None,
            "labels": {"nvidia.com/dynamo-namespace": "team-a-llama", "nvidia.com/dynamo-component-type": kind,
                       "nvidia.com/dynamo-graph-deployment-name": "llama", "app/with~tilde": "1"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}}}]},
            "spec": {"containers": [main], "terminationGracePeriodSeconds": 60, "restartPolicy": "Always",
                     "volumes": [{"name": "kube-api-access-x", "projected": {"defaultMode": 420}}],
                     "priority": 12345678901234567890, "tolerations": [{"tolerationSeconds": 300}]}}
        if extra == "init":
            pod["spec"]["initContainers"] = [container("prepare", how), container("fetch", "none")]
        elif extra == "envFrom":
            main["envFrom"] = [{"secretRef": {"name": "stores"}}]
            main["args"] = ["-m", "dynamo." + kind, "--request-plane", "tcp"]
        elif extra == "annotated":
            pod["metadata"]["annotations"] = {"bulkhead.dev/namespace": "default/llama/v1", "x/y~z": "ä \U0001F600 \"q\""}
            pod["spec"]["containers"].append(container("second", "secret"))
        elif extra == "null":
            pod["metadata"]["annotations"] = None
            pod["spec"].update(volumes=None, initContainers=None, imagePullSecrets=None, hostAliases=None)
        yield pod


def touched_pods():
    """Pods that somebody has been at, and strange ones that are still pods."""
    status = {"bulkhead.dev/status": "{}"}
    base = {"metadata": {"labels": {"bulkhead.dev/inject": "true"}, "annotations": status},
            "spec": {"containers": [container("main", "value")]}}
    def made(**spec):
        pod = json.loads(json.dumps(base))
        pod["spec"].update(spec)
        return pod
    yield made(initContainers=[{"name": "bulkhead", "image": "old"}, {"name": "a"}])
    yield made(initContainers=[{"name": "a"}, {"name": "bulkhead", "image": "old", "command": ["sh"], "tty": True}])
    yield made(initContainers=[{"name": "bulkhead", "restartPolicy": "Never", "env": [{"name": "E", "value": "x"}],
                                "lifecycle": {"preStop": {}}, "securityContext": {"privileged": True}}])
    yield made(containers=[{"name": "bulkhead"}, container("main", "none")])
    yield made(volumes=[{"name": "bulkhead-no-token", "emptyDir": {}}])
    for notes in ({"etcd-view": "subtree"}, {"view": "subtree", "nats-view": "own"}, {"etcd-view": "own", "nats-view": "own"}):
        pod = made()
        pod["metadata"]["annotations"] = {f"bulkhead.dev/{k}": v for k, v in notes.items()}
        yield pod
    yield made(containers=[container(f"c{i}", "twice") for i in range(60)])
    yield made(containers=[container("main", "none", {"env": [{"name": f"V{i}", "value": "x" * i} for i in range(400)]})])
    yield {"metadata": {"name": "a/b~c", "labels": {"bulkhead.dev/inject": "true"}},
           "spec": {"containers": [{"name": "weird ~1/", "env": [{"name": "NATS_SERVER"}]}]}}
    yield {"metadata": {"labels": {"bulkhead.dev/inject": "true"}, "annotations": {"\u0000": "\u0000", "": ""}},
           "spec": {"containers": [{"name": "m", "env": [{"name": "A", "value": "\U0001F600"}]}]}}


def corpus():
    return list(operator_pods()) + list(touched_pods())
