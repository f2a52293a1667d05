# SPDX-License-Identifier: Apache-2.0
"""A real API server on a real etcd, kubectl and, where they are asked for, the controllers: no kubelet, no scheduler.

    with Stack("kube") as stack:
        kube = ApiServer(stack)
        kube.kubectl("create", "namespace", "team-a")
        kube.create(pod, namespace="team-a")           # the stored object, after all admission

Laws: free ports, certificates made for this run, everything ends with the Stack. Without the controllers what
they would make (default ServiceAccounts, root CA ConfigMaps) is switched off.
"""

import http.client
import json
import os
import ssl
import subprocess

from stack import StackError, free_port, run, wait_until

BIN = os.environ["MORE_BIN"]
VERSION = "1.36"


def program(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise StackError(f"{path} is not built; scripts/test --more builds it")
    return path


def newer_etcd():
    """The API server asks for etcd 3.5 or later; Debian has 3.4."""
    return os.path.join(os.environ["MORE"], "etcd", "server-3.7", "server")


class Certificates:
    """An authority and what it signs, by openssl, in one directory."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", self.path("ca.key"), "-out", self.path("ca.crt"), "-days", "2",
                      "-subj", "/CN=test-ca")

    def path(self, name):
        return os.path.join(self.directory, name)

    def _openssl(self, *args, stdin=None):
        done = subprocess.run(["openssl", *args], input=stdin, text=True, capture_output=True)
        if done.returncode != 0:
            raise StackError(f"openssl {args[0]}: {done.stderr}")
        return done.stdout

    def sign(self, name, subject, san):
        """name.crt and name.key for subject, good for server and client, with the alternative names."""
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"), "-subj", subject)
        with open(self.path(name + ".ext"), "w") as f:
            f.write(f"subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.crt"),
                      "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", "2",
                      "-out", self.path(name + ".crt"), "-extfile", self.path(name + ".ext"))

    def rsa(self, name):
        self._openssl("genrsa", "-out", self.path(name), "2048")


# What is written down of each request of a pod: audit annotations among them.
AUDIT_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
                "rules": [{"level": "Metadata", "resources": [{"group": "", "resources": ["pods"]}]}]}


class ApiServer:
    def __init__(self, stack, with_controllers=False):
        """with_controllers: kube-controller-manager runs too, and with it default ServiceAccounts and the
        volumes of their tokens."""
        self.stack = stack
        self.certs = certs = Certificates(stack.path("kube-certs"))
        certs.sign("server", "/CN=kube-apiserver", "IP:127.0.0.1")
        certs.sign("admin", "/O=system:masters/CN=admin", "DNS:admin")
        certs.rsa("sa.key")
        self.etcd = self._etcd()
        self.audit_path = stack.path("audit.log")
        with open(stack.path("audit-policy.json"), "w") as f:
            json.dump(AUDIT_POLICY, f)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.process = stack.process("kube-apiserver", [
            program("kube-apiserver"), "--etcd-servers=" + self.etcd, "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.port}",
            "--cert-dir=" + stack.path("kube-cert-dir"),
            "--tls-cert-file=" + certs.path("server.crt"), "--tls-private-key-file=" + certs.path("server.key"),
            "--client-ca-file=" + certs.path("ca.crt"),
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=" + certs.path("sa.key"),
            "--service-account-signing-key-file=" + certs.path("sa.key"),
            "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC",
            *([] if with_controllers else ["--disable-admission-plugins=ServiceAccount"]),
            "--audit-policy-file=" + stack.path("audit-policy.json"), "--audit-log-path=" + self.audit_path,
            "--audit-log-mode=blocking", "--allow-privileged=true", "--endpoint-reconciler-type=none"])
        self.kubeconfig = stack.path("kubeconfig")
        with open(self.kubeconfig, "w") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "c",
                       "clusters": [{"name": "c", "cluster": {"server": self.url,
                                                              "certificate-authority": certs.path("ca.crt")}}],
                       "users": [{"name": "u", "user": {"client-certificate": certs.path("admin.crt"),
                                                        "client-key": certs.path("admin.key")}}],
                       "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}, f)
        self.process.until(lambda: self.try_kubectl("get", "--raw", "/readyz").returncode == 0,
                           "the API server is ready", timeout=180)
        wait_until(lambda: self.try_kubectl("get", "namespace", "default").returncode == 0,
                   "the namespace default is there")
        if with_controllers:
            self._controllers()

    def _controllers(self):
        process = self.stack.process("kube-controller-manager", [
            program("kube-controller-manager"), "--kubeconfig=" + self.kubeconfig, "--secure-port=0",
            "--leader-elect=false", "--service-account-private-key-file=" + self.certs.path("sa.key"),
            "--root-ca-file=" + self.certs.path("ca.crt")])
        process.until(lambda: self.try_kubectl("get", "serviceaccount", "default").returncode == 0,
                      "the controllers have made the default ServiceAccount", timeout=120)

    def audited(self, name):
        """The audit annotations of the creation of this pod."""
        with open(self.audit_path) as f:
            for line in f:
                event = json.loads(line)
                if event["verb"] == "create" and event.get("objectRef", {}).get("name") == name:
                    return event.get("annotations", {})
        return None

    def post_pod(self, pod, namespace):
        """Straight to the API, dry and strict: an unknown or doubled field is an error. (status, object)."""
        if not hasattr(self, "_tls"):
            self._tls = ssl.create_default_context(cafile=self.certs.path("ca.crt"))
            self._tls.load_cert_chain(self.certs.path("admin.crt"), self.certs.path("admin.key"))
            self._connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self._tls, timeout=60)
        self._connection.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict",
                                 json.dumps(pod), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def _etcd(self):
        """A 3.7 speaks other flags than Debian's, hence not stack.etcd()."""
        url = f"http://127.0.0.1:{free_port()}"
        process = self.stack.process("etcd-of-kube", [
            newer_etcd(), "--name", "default", "--data-dir", self.stack.path("etcd-of-kube.data"),
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", "http://127.0.0.1:0", "--initial-advertise-peer-urls", "http://127.0.0.1:0",
            "--initial-cluster", "default=http://127.0.0.1:0", "--log-outputs", "stderr",
            "--unsafe-no-fsync"])
        process.until(lambda: "ready to serve client requests" in process.log(), "etcd serves the API server")
        return url

    def try_kubectl(self, *args, stdin=None):
        return run([program("kubectl"), "--kubeconfig", self.kubeconfig, *args], stdin=stdin,
                   env={"KUBECACHEDIR": self.stack.path("kubectl-cache"), "HOME": self.stack.directory})

    def kubectl(self, *args, stdin=None):
        done = self.try_kubectl(*args, stdin=stdin)
        if done.returncode != 0:
            raise StackError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    def apply(self, manifest, *args):
        """Text or objects, strictly validated: an unknown or doubled field is an error."""
        if not isinstance(manifest, str):
            items = manifest if isinstance(manifest, list) else [manifest]
            manifest = "\n---\n".join(json.dumps(item) for item in items)
        return self.kubectl("apply", "--validate=strict", "-f", "-", *args, stdin=manifest)

    def try_create(self, pod, *args):
        return self.try_kubectl("create", "--validate=strict", "-o", "json", "-f", "-", *args,
                                stdin=json.dumps(pod))

    def create(self, pod, *args):
        """The pod as it was stored, and the warnings that kubectl showed."""
        done = self.try_create(pod, *args)
        if done.returncode != 0:
            raise StackError(f"kubectl create: {done.stderr}")
        return json.loads(done.stdout), done.stderr

    def metrics(self):
        return self.kubectl("get", "--raw", "/metrics")

    def until_active(self, webhook):
        """The API server learns of a new registration a moment later; its metrics say when it was used."""
        probe = {"apiVersion": "v1", "kind": "Pod",
                 "metadata": {"name": "probe", "namespace": "default",
                              "labels": {"bulkhead.dev/inject": "not-a-value"}},
                 "spec": {"containers": [{"name": "c", "image": "i"}]}}
        wait_until(lambda: webhook in self.try_create(probe, "--dry-run=server").stderr,
                   f"{webhook} is called")
