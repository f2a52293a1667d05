# SPDX-License-Identifier: Apache-2.0
"""The commands of the guide's pages about Kubernetes, as they are written there, by a shell, against a real API
server, in the order in which a reader meets them. A command that a page no longer holds fails its test."""

import glob
import json
import os
import re
import shutil
import subprocess
import unittest

import yaml

from hook import CHART, injector_binary
from kube_stack import ApiServer, program
from stack import ROOT, Stack, wait_until

EXAMPLES = os.path.join(ROOT, "deploy", "sidecar-injector", "examples")


def blocks(page):
    """The blocks of a page, language and text; continued lines are one."""
    with open(os.path.join(ROOT, page)) as f:
        found = re.findall(r"^```(\w*)\n(.*?)^```", f.read(), re.M | re.S)
    return [(language, text.replace("\\\n", "")) for language, text in found]


def command(page, begin):
    """The one line of a page's blocks, or text in backticks, that begins so."""
    with open(os.path.join(ROOT, page)) as f:
        short = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", f.read(), flags=re.M | re.S))
    lines = [line for _, text in blocks(page) for line in text.split("\n")] + short
    found = {line for line in lines if line.startswith(begin) and line != begin}
    assert len(found) == 1, (page, begin, found)
    return re.sub(r"\s+", " ", found.pop())


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack("kube-docs")
        cls.addClassCleanup(cls.stack.close)
        cls.kube = ApiServer(cls.stack, with_controllers=True)
        for crd in glob.glob(os.path.join(os.environ["MORE_BIN"], "crds", "*.yaml")):
            cls.kube.kubectl("create", "-f", crd)
            with open(crd) as f:
                cls.kube.kubectl("wait", "--for=condition=Established", "crd/" + yaml.safe_load(f)["metadata"]["name"])
        cls.bin = cls.stack.path("bin")
        os.mkdir(cls.bin)
        # helm is helm 4, as people install it today; what another version says otherwise is tried with helm3, too.
        for path in (os.path.join(ROOT, "build", "helm", "helm"), program("kubectl"), injector_binary(), os.path.abspath(os.environ["BULKHEAD"])):
            os.symlink(path, os.path.join(cls.bin, os.path.basename(path)))
        os.symlink(os.path.join(os.environ["MORE"], "chart", "helm"), os.path.join(cls.bin, "helm3"))

    def sh(self, line, cwd=ROOT, status=0):
        """Standard output and error of a line, by bash, in the readers' order of things."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=cwd, text=True, capture_output=True, env={
            "PATH": self.bin + ":/usr/bin:/bin", "KUBECONFIG": self.kube.kubeconfig, "HOME": self.stack.directory})
        self.assertEqual(status, done.returncode, f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_install_look_upgrade_and_take_away(self):
        install = command("docs/kubernetes.md", "helm install")
        self.addCleanup(self.kube.kubectl, "delete", "namespace", "bulkhead-system", "--wait=true")
        self.assertIn("STATUS: deployed", self.sh(install))
        shown = self.sh(re.sub("-o yaml$", "-o name", command("docs/kubernetes.md", "kubectl get mutatingwebhook")))
        self.assertEqual("mutatingwebhookconfiguration.admissionregistration.k8s.io/bulkhead-injector-bulkhead-system\n", shown)
        directory = self.stack.path("by-hand")
        os.mkdir(directory)
        shutil.copy(os.path.join(EXAMPLES, "manual-pod.yaml"), os.path.join(directory, "worker.yaml"))
        self.sh(command("docs/manual-sidecar.md", "kubectl -n bulkhead-system get configmap"), directory)
        with open(os.path.join(directory, "config.json")) as f:
            self.assertIn("image", json.load(f))
        self.sh(command("docs/upgrade.md", "bulkhead-injector check"), directory)
        self.sh(command("docs/manual-sidecar.md", "bulkhead-injector inject"), directory)
        with open(os.path.join(directory, "worker.injected.yaml")) as f:
            self.assertIn("--namespace=", f.read())
        # What an upgrade would change, with the words that the page leaves out.
        words = install.replace("helm install", "", 1).replace("--create-namespace", "")
        diff = command("docs/upgrade.md", "helm template")
        for line in (diff, diff.replace("helm template", "helm3 template --validate")):
            self.sh(line.replace("…", words))
            changed = self.sh(line.replace("…", words + " --set replicaCount=5"), status=1)
            self.assertEqual(["-  replicas: 2", "+  replicas: 5"], re.findall(r"^[-+] .*replicas.*", changed, re.M), changed)
        self.sh(install.replace("install", "upgrade", 1).replace("--create-namespace", ""))
        pods = self.sh(command("docs/upgrade.md", "kubectl get pods -A"))
        self.assertRegex(pods, r"^NS +POD +STATUS")
        self.sh("helm uninstall bulkhead-injector --namespace bulkhead-system")
        wait_until(lambda: "bulkhead" not in self.sh("kubectl get mutatingwebhookconfiguration -o name"), "it is gone")

    def test_the_chart_with_its_own_certificate_and_a_registration_left_behind(self):
        install = command("deploy/sidecar-injector/chart/README.md", "helm install").replace("bulkhead-system", "left-behind")
        self.sh(install)
        self.addCleanup(self.sh, "helm uninstall bulkhead-injector --namespace left-behind")
        self.sh("helm status bulkhead-injector --namespace left-behind")
        gone = self.sh(command("docs/upgrade.md", "kubectl delete mutatingwebhookconfiguration"))
        for kind in ("mutatingwebhookconfiguration", "validatingadmissionpolicy", "validatingadmissionpolicybinding"):
            self.assertIn(kind + ".admissionregistration.k8s.io", gone)

    def test_kustomize(self):
        copy = self.stack.path("kustomize")
        shutil.copytree(os.path.join(ROOT, "deploy", "sidecar-injector", "kustomize"), copy)
        for overlay in ("cert-manager", "certificate-files"):
            directory = os.path.join(copy, "overlays", overlay)
            shutil.copy(os.path.join(EXAMPLES, "config.json"), directory)
            if overlay == "certificate-files":
                self.sh("./make-certificate", directory)
            said = self.sh("kubectl apply -k .", directory)
            self.assertIn("mutatingwebhookconfiguration.admissionregistration.k8s.io/bulkhead-injector-bulkhead-system created", said)
            self.sh("kubectl delete -k .", directory)
            self.kube.kubectl("wait", "--for=delete", "namespace/bulkhead-system", "--timeout=60s")

    def test_examples(self):
        line = command("deploy/sidecar-injector/examples/README.md", "bulkhead-injector inject")
        self.assertIn("--namespace=", self.sh(line, EXAMPLES))

    def test_values_that_pages_show_are_values_of_the_chart(self):
        stores = {"stores": {"etcd": {"upstream": ["e:2379"]}, "nats": {"upstream": ["n:4222"]}}}
        shown = 0
        for page in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
            for language, text in blocks(page):
                values = yaml.safe_load(text) if language == "yaml" and "…" not in text else None
                if not isinstance(values, dict) or not set(values) <= {"policy", "sidecar"}:
                    continue
                path = self.stack.path("shown.yaml")
                with open(path, "w") as f:
                    json.dump({**stores, **values}, f)
                self.sh(f"helm template --dry-run=server x {CHART} --values {path}")
                shown += 1
        self.assertGreaterEqual(shown, 2)

    def test_configurations_that_pages_show_are_taken(self):
        policy = next(text for language, text in blocks("docs/injection.md") if language == "json")
        path = self.stack.path("policy.json")
        with open(path, "w") as f:
            f.write('{"image": "i", "etcd-upstream": ["e:2379"], ' + policy + "}")
        self.sh(f"bulkhead-injector check --config {path}")

    def test_pods_that_pages_show_are_pods(self):
        """The containers of docs/redirect.md, whose dots stand for what a reader fills in."""
        text = next(text for language, text in blocks("docs/redirect.md") if language == "yaml")
        spec = yaml.safe_load(text.replace(", …}", "}"))
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shown"},
               "spec": {**spec, "containers": [{"name": "main", "image": "i"}]}}
        status, said = self.kube.post_pod(pod, "default")
        self.assertEqual(201, status, said)
        for container in spec["initContainers"]:
            if container["args"][0] == "redirect":
                self.sh("bulkhead " + " ".join(container["args"]) + " --dry-run")
            else:
                self.sh("bulkhead check " + " ".join(f"'{a}'" for a in container["args"][1:]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
