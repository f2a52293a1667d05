# SPDX-License-Identifier: Apache-2.0
"""Renders the chart with the real helm: golden files, and the Kustomize base and components.

    render.py --write     after a change of the chart; commit what changes with it

chart_test.py renders again and compares; tests/e2e/chart_test.py judges what is committed, and that the chart is
still the one it was rendered from (golden/made-from). What is random in a rendering (the certificate that
the chart makes) is replaced by a word.
"""

import hashlib
import os
import re
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "..", "..", ".."))
DEPLOY = os.path.join(ROOT, "deploy", "sidecar-injector")
CHART = os.path.join(DEPLOY, "chart")
GOLDEN = os.path.join(HERE, "golden")
KUSTOMIZE = os.path.join(DEPLOY, "kustomize")
KUBE_OF = {"old-cluster": "1.27.0"}
KUBE = "1.33.0"
NAMESPACE = "bulkhead-system"
RANDOM = re.compile(r'^(\s*(?:ca\.crt|tls\.crt|tls\.key|caBundle): )LS0t\S+$', re.M)
MADE = re.compile(r'(bulkhead\.dev/certificate-made: )"\d+"')
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance")
HEADER = "# SPDX-License-Identifier: Apache-2.0\n# Rendered from the chart by tests/more/chart/render.py.\n"


def tool(name):
    folder = os.environ.get("MORE_BIN", os.path.join(ROOT, "build", "helm"))
    return os.path.join(folder, name)


def command(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def cases():
    """name -> (file of values, version of Kubernetes)"""
    folder = os.path.join(CHART, "ci")
    names = sorted(f.removesuffix("-values.yaml") for f in os.listdir(folder))
    return {n: (os.path.join(folder, n + "-values.yaml"), KUBE_OF.get(n, KUBE)) for n in names}


def template(values, kube, *args):
    """Sorted by file, kind and name: helm 3 and 4 have different orders, and empty lines, between objects."""
    text = command(tool("helm"), "template", "bulkhead", CHART, "--namespace", NAMESPACE,
                   "--kube-version", kube, "--values", values, *args)
    items = [i.strip("\n") for i in re.split(r"^---\n", text, flags=re.M)]
    return "".join(f"---\n{i}\n" for i in sorted(filter(None, items), key=place))


def place(item):
    return [re.search(pattern, item, re.M).group(1)
            for pattern in (r"^# Source: (.*)$", r"^kind: (.*)$", r"^  name: (.*)$")]


def golden(values, kube):
    text = RANDOM.sub(r"\1RANDOM", template(values, kube))
    return MADE.sub(r'\1"0"', text)


def made_from():
    """One line a file of the chart: what the golden files were rendered from."""
    lines = []
    for folder, folders, files in os.walk(CHART):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            lines.append(f"{digest}  {os.path.relpath(path, CHART)}\n")
    return "".join(lines)


# ---- Kustomize ----

def without_helm(item):
    """Helm's labels say who manages an object; here it is Kustomize."""
    if isinstance(item, dict):
        return {k: without_helm(v) for k, v in item.items() if k not in HELM_LABELS}
    return [without_helm(i) for i in item] if isinstance(item, list) else item


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def text_of(*items):
    return HEADER + "---\n".join(yaml.dump(i, Dumper=Plain, sort_keys=False, width=1000) for i in items)


def kustomize():
    """path below kustomize/ -> text, for the files that come from the chart."""
    values = os.path.join(CHART, "ci", "kustomize-values.yaml")
    items = [without_helm(d) for d in yaml.safe_load_all(template(values, KUBE)) if d]
    def of(*kinds, but=()):
        return [i for i in items if i["kind"] in kinds and i["metadata"]["name"] not in but]
    hook = of("MutatingWebhookConfiguration")[0]
    hook["metadata"]["annotations"].pop("cert-manager.io/inject-ca-from")
    config = of("ConfigMap")[0]["data"]["config.json"]
    return {
        "base/config.json": config.rstrip() + "\n",
        "base/deployment.yaml": text_of(*of("Deployment")),
        "base/service.yaml": text_of(*of("Service")),
        "base/serviceaccount.yaml": text_of(*of("ServiceAccount")),
        "base/poddisruptionbudget.yaml": text_of(*of("PodDisruptionBudget")),
        "base/mutatingwebhookconfiguration.yaml": text_of(hook),
        "components/backstop/policy.yaml":
            text_of(*of("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")),
        "components/cert-manager/certificate.yaml": text_of(*of("Issuer", "Certificate")),
        "components/monitoring/monitors.yaml": text_of(*of("ServiceMonitor", "PodMonitor")),
        "components/network-policy/networkpolicy.yaml": text_of(*of("NetworkPolicy")),
    }


def everything():
    """path -> text of every file that this program makes."""
    files = {os.path.join(GOLDEN, n + ".yaml"): golden(*c) for n, c in cases().items()}
    files[os.path.join(GOLDEN, "made-from")] = made_from()
    for path, text in kustomize().items():
        files[os.path.join(KUSTOMIZE, path)] = text
    return files


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit(__doc__)
    for path, text in everything().items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
