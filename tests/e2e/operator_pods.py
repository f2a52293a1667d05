# SPDX-License-Identifier: Apache-2.0
"""The pods that Dynamo's operator makes of a DynamoGraphDeployment, in the shape that deploy/operator of
ai-dynamo/dynamo gives them (internal/dynamo/graph.go, component_common.go, component_frontend.go,
component_worker.go, internal/consts): labels, environment, the container "main"; no volumes, no probes."""

import copy

# What operators are configured with: an address without a scheme for etcd also occurs.
STORES = {"NATS_SERVER": "nats://nats.stores.svc:4222", "ETCD_ENDPOINTS": "etcd.stores.svc:2379"}


def dynamo_namespace(graph):
    """ComputeDynamoNamespace: a label's value, so no path."""
    return f"{graph['metadata']['namespace']}-{graph['metadata']['name']}".replace(".", "-")


def environment(graph, name, service):
    namespace = dynamo_namespace(graph)
    told = {"DYN_NAMESPACE": namespace, "DYN_COMPONENT": name, "DYN_DISCOVERY_BACKEND": "kubernetes",
            "DYN_PARENT_DGD_K8S_NAME": graph["metadata"]["name"],
            "DYN_PARENT_DGD_K8S_NAMESPACE": graph["metadata"]["namespace"], **STORES}
    if service["componentType"] == "frontend":
        told["DYN_NAMESPACE_PREFIX"] = namespace
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}
    return ([{"name": n, "value": v} for n, v in told.items()] +
            [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in fields.items()] +
            copy.deepcopy(graph["spec"].get("envs", [])) + copy.deepcopy(service.get("envs", [])))


def pod_of(graph, name, service):
    spec = copy.deepcopy(service.get("extraPodSpec", {}))
    main = {"name": "main", **spec.pop("mainContainer", {}), "env": environment(graph, name, service)}
    if "envFromSecret" in service:
        main["envFrom"] = [{"secretRef": {"name": service["envFromSecret"]}}]
    component = f"{graph['metadata']['name']}-{name.lower()}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "generateName": component + "-",
        "labels": {"nvidia.com/dynamo-namespace": dynamo_namespace(graph),
                   "nvidia.com/dynamo-graph-deployment-name": graph["metadata"]["name"],
                   "nvidia.com/dynamo-component": name, "nvidia.com/dynamo-component-type": service["componentType"],
                   "nvidia.com/selector": component, "nvidia.com/dynamo-discovery-backend": "kubernetes"},
        "annotations": {**graph["spec"].get("annotations", {}), **service.get("annotations", {})}},
        "spec": {"containers": [main], "restartPolicy": "Always", "terminationGracePeriodSeconds": 60, **spec}}


def pods_of(graph):
    """[(name of the service, pod)], one for each replica."""
    return [(name, pod_of(graph, name, service)) for name, service in graph["spec"]["services"].items()
            for _ in range(service.get("replicas", 1))]
