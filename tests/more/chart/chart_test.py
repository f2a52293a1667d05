# SPDX-License-Identifier: Apache-2.0
"""The real helm and kustomize: lint, what is refused, and that the committed renderings are today's. In the plain
run (e2e/chart_helm) by helm 4, in scripts/test --more (more/chart) by helm 3."""

import os
import shutil
import subprocess
import tempfile
import unittest

import yaml

import render


def helm(*args):
    return subprocess.run([render.tool("helm"), *args], capture_output=True, text=True)


def build(path):
    return list(yaml.safe_load_all(render.command(render.tool("kustomize"), "build", path)))


def setUpModule():
    if not os.path.exists(render.tool("helm")):
        raise AssertionError(f"{render.tool('helm')} is not there: scripts/test makes it")


class Chart(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for name, (values, kube) in render.cases().items():
            with self.subTest(case=name):
                done = helm("lint", "--strict", "--kube-version", kube, "--values", values, render.CHART)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertNotRegex(done.stdout, r"\[(WARNING|ERROR)\]")

    def test_committed_files_are_what_is_rendered_today(self):
        for path, text in render.everything().items():
            with open(path) as f:
                self.assertEqual(f.read(), text, f"{path}: tests/more/chart/render.py --write")

    def test_what_is_wrong_is_refused(self):
        values, kube = render.cases()["self-signed"]
        for setting, says in (
                ("replicacount=3", "replicacount"),
                ("webhook.timeoutSeconds=90", "timeoutSeconds"),
                ("webhook.failurePolicy=Maybe", "failurePolicy"),
                ("sidecar.tier=mesh", "sidecar/tier"),
                ("sidecar.native=perhaps", "sidecar/native"),
                ("image.digest=latest", "digest"),
                ("policy[0].kubernetesNamespaces={a},policy[0].claims={a},policy[0].natsView=all", "natsView"),
                ("stores.etcd.upstream=null,stores.nats.upstream=null", "where the shared stores are"),
                ("webhook.certificateSecret.external=true", "webhook.caBundle"),
                ("webhook.caBundle=QQ==", "webhook.certificateSecret.external"),
                ("webhook.certManager.enabled=true,webhook.caBundle=QQ==", "excludes"),
                ("networkPolicy.stores.enabled=true", "where etcd and NATS run")):
            with self.subTest(setting=setting):
                done = helm("template", "x", render.CHART, "--kube-version", kube, "--values", values,
                            "--set", setting)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(says, done.stderr)

    def test_notes_speak_of_this_installation(self):
        """helm shows notes on install only; --dry-run=client renders them without a cluster."""
        values, kube = render.cases()["self-signed"]
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(render.CHART, copy, dirs_exist_ok=True)
            notes = os.path.join(copy, "templates", "NOTES.txt")
            os.rename(notes, os.path.join(copy, "templates", "notes.yaml"))
            with open(os.path.join(copy, "templates", "notes.yaml")) as f:
                text = f.read()
            with open(os.path.join(copy, "templates", "notes.yaml"), "w") as f:
                f.write('{{- define "notes" }}' + text + '{{ end }}\nnotes: {{ include "notes" . | toJson }}\n')
            done = helm("template", "bulkhead", copy, "--namespace", render.NAMESPACE, "--kube-version", kube,
                        "--values", values, "--show-only", "templates/notes.yaml",
                        "--set", "webhook.failurePolicy=Ignore")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = yaml.safe_load(done.stdout)["notes"]
        for words in ("in bulkhead-system", "good for 730 days", "bulkhead.dev/inject=true",
                      "nvidia.com/dynamo-namespace", "DYN_NAMESPACE", "kube-system",
                      "WARNING: webhook.failurePolicy is Ignore"):
            self.assertIn(words, said)


class Kustomize(unittest.TestCase):
    def test_base_and_overlay_build(self):
        kinds = [i["kind"] for i in build(os.path.join(render.KUSTOMIZE, "base"))]
        self.assertEqual(len(kinds), 8, kinds)
        items = build(os.path.join(render.KUSTOMIZE, "overlays", "cert-manager"))
        hook = next(i for i in items if i["kind"] == "MutatingWebhookConfiguration")
        self.assertEqual(hook["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
                         "bulkhead-system/bulkhead-injector")
        config = next(i for i in items if i["kind"] == "ConfigMap")
        self.assertIn("team-*", config["data"]["config.json"])

    def test_certificate_from_files(self):
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(render.KUSTOMIZE, copy, dirs_exist_ok=True)
            overlay = os.path.join(copy, "overlays", "certificate-files")
            subprocess.run([os.path.join(overlay, "make-certificate")], check=True, capture_output=True)
            items = build(overlay)
            hook = next(i for i in items if i["kind"] == "MutatingWebhookConfiguration")
            secret = next(i for i in items if i["kind"] == "Secret")
            self.assertEqual({w["clientConfig"]["caBundle"] for w in hook["webhooks"]}, {secret["data"]["ca.crt"]})
            subprocess.run(["openssl", "verify", "-CAfile", os.path.join(overlay, "ca.crt"), "-verify_hostname",
                            "bulkhead-injector.bulkhead-system.svc", os.path.join(overlay, "tls.crt")],
                           check=True, capture_output=True)


if __name__ == "__main__":
    unittest.main()
