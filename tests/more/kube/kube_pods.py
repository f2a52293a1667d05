# SPDX-License-Identifier: Apache-2.0
"""Pods for the tests, and what is expected of a pod that was injected, worked out a second time in Python."""

import copy


def pod(name, namespace, *, labels=None, annotations=None, env=None, init=None, **spec):
    """A pod that pod security "restricted" takes."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    item = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000,
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": "example/app:1", "securityContext": safe}], **spec}}
    if labels:
        item["metadata"]["labels"] = labels
    if annotations:
        item["metadata"]["annotations"] = annotations
    if env:
        item["spec"]["containers"][0]["env"] = env
    if init:
        item["spec"]["initContainers"] = [{"name": n, "image": "example/init:1", "securityContext": safe}
                                          for n in init]
    return item


def variable(container, name):
    found = [e for e in container.get("env", []) if e["name"] == name]
    return found[-1].get("value") if found else None


def sidecars(stored):
    return [c for c in stored["spec"].get("initContainers", []) + stored["spec"]["containers"]
            if c["name"] == "bulkhead"]


SET = ("ETCD_ENDPOINTS", "NATS_SERVER", "DYNAMO_NAMESPACE", "DYN_NAMESPACE")


def without_sidecar(stored):
    """What was the user's: the stored pod without the injector's parts and what the API server counts up."""
    item = copy.deepcopy(stored)
    for field in ("uid", "creationTimestamp", "managedFields", "resourceVersion", "annotations", "labels",
                  "generation"):
        item["metadata"].pop(field, None)
    item.pop("status", None)
    spec = item["spec"]
    for kind in ("containers", "initContainers"):
        spec[kind] = [c for c in spec.get(kind, []) if not c["name"].startswith("bulkhead")]
        for container in spec[kind]:
            container["env"] = [e for e in container.get("env", []) if e["name"] not in SET]
            if not container["env"]:
                del container["env"]
    spec["volumes"] = [v for v in spec.get("volumes", []) if not v["name"].startswith("bulkhead")]
    for kind in ("initContainers", "volumes"):
        if not spec[kind]:
            del spec[kind]
    return item
