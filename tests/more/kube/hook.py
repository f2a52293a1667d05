# SPDX-License-Identifier: Apache-2.0
"""The injector beside an ApiServer, registered by what helm renders from the chart: only the address differs
from a cluster's (webhook.url instead of a Service, because there is no pod network)."""

import base64
import json
import os
import re
import subprocess

import yaml

from kube_stack import Certificates
from stack import ROOT, StackError, free_port, http_get

CHART = os.path.join(ROOT, "deploy", "sidecar-injector", "chart")
READY = re.compile(r"^ready webhook=(\S+) health=(\S+)$", re.M)


def injector_binary():
    path = os.path.abspath(os.environ.get("INJECTOR", ""))
    if not os.access(path, os.X_OK):
        raise StackError("INJECTOR must name the injector (ctest sets it): " + repr(path))
    return path


class Hook:
    """One injector, its certificate, its configuration and its registration."""

    def __init__(self, kube, values, kube_version="1.36.0"):
        self.kube, self.stack = kube, kube.stack
        self.certs = Certificates(self.stack.path("hook-certs"))
        self.new_certificate()
        self.port = free_port()
        with open(self.certs.path("ca.crt"), "rb") as f:
            ca = base64.b64encode(f.read()).decode()
        values = {**values, "webhook": {
            "url": f"https://127.0.0.1:{self.port}", "caBundle": ca,
            "certificateSecret": {"external": True, "name": "made-by-the-test"}, **values.get("webhook", {})}}
        self.items = self.render(values, kube_version)
        config = next(i for i in self.items if i["kind"] == "ConfigMap")["data"]["config.json"]
        self.config = self.stack.path("injector-config.json")
        with open(self.config, "w") as f:
            f.write(config)
        self.process = None

    def render(self, values, kube_version):
        path = self.stack.path("values.yaml")
        with open(path, "w") as f:
            json.dump(values, f)
        helm = os.path.join(os.environ["MORE"], "chart", "helm")
        done = subprocess.run([helm, "template", "bulkhead", CHART, "--namespace", "bulkhead-system",
                               "--kube-version", kube_version, "--values", path], capture_output=True, text=True)
        if done.returncode != 0:
            raise StackError(done.stderr)
        return [d for d in yaml.safe_load_all(done.stdout) if d]

    def new_certificate(self):
        self.certs.sign("hook", "/CN=bulkhead-injector",
                        "IP:127.0.0.1,DNS:bulkhead-injector.bulkhead-system.svc")

    def start(self):
        self.process = self.stack.process("injector", [
            injector_binary(), "serve", "--config", self.config, "--tls-cert", self.certs.path("hook.crt"),
            "--tls-key", self.certs.path("hook.key"), "--listen", f"127.0.0.1:{self.port}",
            "--health-listen", "127.0.0.1:0", "--drain-ms", "0"], stdout_is_log=False)
        ready = self.process.until(lambda: READY.search(self.process.out()), "the injector's ready line")
        self.health = ready.group(2)
        return self

    def stop(self):
        status = self.process.stop()
        if status != 0:
            raise StackError(f"the injector ended with {status}\n{self.process.tail()}")

    def of(self, *kinds):
        return [i for i in self.items if i["kind"] in kinds]

    def register(self):
        """Everything of the chart, strictly validated, and what the pods of the test need."""
        self.kube.apply(self.items)
        self.kube.until_active(self.of("MutatingWebhookConfiguration")[0]["webhooks"][0]["name"])

    def counter(self, name, **labels):
        """The sum of all rows of a metric that have these labels."""
        status, text = http_get(self.health, "/metrics")
        total = 0.0
        for line in text.splitlines():
            match = re.match(r"(\w+)(\{[^}]*\})? (\S+)$", line)
            if match and match.group(1) == "bulkhead_injector_" + name and all(
                    f'{k}="{v}"' in (match.group(2) or "") for k, v in labels.items()):
                total += float(match.group(3))
        return total
