# SPDX-License-Identifier: Apache-2.0
"""What stands between a manifest and a pod of pods.py: the webhook's answer, its patch, and a kubelet
that starts containers in order, each as the user and with the capabilities of its securityContext."""

import base64
import copy
import json
import os
import ssl
import subprocess
import urllib.request

import pods
import stack as real

HOSTS = "etcd.stores.svc", "nats.stores.svc", "etcd", "nats"  # what the cluster's DNS knows


def injector_binary():
    return os.path.join(os.path.dirname(real.sidecar_binary()), "bulkhead-injector")


class Webhook(real.Process):
    """bulkhead-injector on a free port, with a certificate of its own."""

    def __init__(self, name, directory, config):
        cert, key = os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=webhook",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        super().__init__(name, [injector_binary(), "serve", "--config", config, "--tls-cert", cert, "--tls-key", key,
                                "--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0",
                                "--drain-ms", "0"], directory, stdout_is_log=False)
        self.until(lambda: "\n" in self.out(), "the webhook's ready line")
        self.addr = dict(w.split("=", 1) for w in self.out().split() if "=" in w)["webhook"]
        self.tls = ssl.create_default_context(cafile=cert)

    def admit(self, pod, kubernetes_namespace, path="/mutate/namespace"):
        """The pod as the API server would store it. Its namespace carries bulkhead's label, unless path is
        "/mutate"."""
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": kubernetes_namespace,
            "operation": "CREATE", "userInfo": {"username": "test"}, "object": pod, "oldObject": None}}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls))
        request = urllib.request.Request(f"https://{self.addr}{path}?timeout=5s", json.dumps(review).encode(),
                                         {"Content-Type": "application/json"})
        answer = json.load(opener.open(request, timeout=real.WAIT_S))["response"]
        if not answer["allowed"] or "patch" not in answer:
            raise real.StackError(f"not injected: {answer}")
        return apply_patch(pod, json.loads(base64.b64decode(answer["patch"])))


def apply_patch(document, operations):
    """RFC 6902: add, replace and remove, which is all that the webhook sends."""
    document = copy.deepcopy(document)
    for operation in operations:
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        at = document
        for part in parents:
            at = at[int(part) if isinstance(at, list) else part]
        if operation["op"] == "remove":
            del at[int(last) if isinstance(at, list) else last]
        elif isinstance(at, list):
            index = len(at) if last == "-" else int(last)
            at[index:index + (operation["op"] == "replace")] = [operation["value"]]
        elif operation["op"] == "add" or last in at:
            at[last] = operation["value"]
        else:
            raise real.StackError(f"replaces what is not there: {operation}")
    return document


def user_of(pod, container):
    """(user, capabilities) for pods.Place.wrap, by the rules of the pod security standard: all dropped."""
    own, whole = container.get("securityContext", {}), pod["spec"].get("securityContext", {})
    caps = own.get("capabilities", {})
    if caps.get("drop") != ["ALL"] or own.get("allowPrivilegeEscalation") is not False:
        raise real.StackError(f"container {container['name']} keeps capabilities: {own}")
    sets = {None: pods.NO_CAPS, ("NET_ADMIN",): pods.NET_ADMIN}
    return own.get("runAsUser", whole.get("runAsUser")), sets[tuple(caps["add"]) if caps.get("add") else None]


def environment_of(pod, container):
    fields = {"metadata.name": pod["metadata"].get("name", ""), "metadata.namespace": "models"}
    env = {}
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        env[entry["name"]] = fields.get(source, "") if source else entry.get("value", "")
    return env


def hosts_of(pod):
    aliases = pod["spec"].get("hostAliases", [])
    taken = {name for alias in aliases for name in alias["hostnames"]}
    lines = ["127.0.0.1 localhost", *(f"{a['ip']} {' '.join(a['hostnames'])}" for a in aliases),
             "STORE " + " ".join(n for n in HOSTS if n not in taken)]
    return "\n".join(lines) + "\n"


def start(cluster, pod, namespace):
    """Starts the pod's init containers in their order, as a kubelet does: one that ends is waited for and
    must end well, one that restarts always (a native sidecar) has to pass its startup probe; then the
    containers that have a postStart hook (a classic sidecar), which must end well. The application's are the
    test's to start. Returns the pods.Pod, with the sidecar's process in .sidecars."""
    place = cluster.pod(namespace, hosts_of(pod))
    place.sidecars = []
    for container in pod["spec"].get("initContainers", []):
        user, env = user_of(pod, container), environment_of(pod, container)
        argv = [place.program("bulkhead"), *container["args"]]
        if container.get("restartPolicy") != "Always":
            place.must(user, argv, env=env)
            continue
        probe = container["startupProbe"]["httpGet"]
        sidecar = place.start(user, argv, env=env)
        place.must(user, [place.program("bulkhead"), "wait", "--health-listen", f"127.0.0.1:{probe['port']}"])
        if probe["path"] != "/startupz" or not sidecar.running():
            raise real.StackError(f"the sidecar does not start: {probe}\n{sidecar.tail()}")
        place.sidecars.append(sidecar)
    for container in pod["spec"]["containers"]:
        hook = container.get("lifecycle", {}).get("postStart")
        if hook:
            user, env = user_of(pod, container), environment_of(pod, container)
            place.sidecars.append(place.start(user, [place.program("bulkhead"), *container["args"]], env=env))
            place.must(user, [place.program("bulkhead"), *hook["exec"]["command"][1:]], env=env)
    return place
