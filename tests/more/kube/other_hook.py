# SPDX-License-Identifier: Apache-2.0
"""Another operator's webhook, as badly behaved as real ones: it knows an old Kubernetes and drops
restartPolicy from every init container."""

import base64
import http.server
import json
import ssl
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        patch = [{"op": "remove", "path": f"/spec/initContainers/{i}/restartPolicy"}
                 for i, c in enumerate(request["object"]["spec"].get("initContainers", []))
                 if "restartPolicy" in c]
        self.server.stripped += len(patch)
        answer = {"uid": request["uid"], "allowed": True}
        if patch:
            answer.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode())
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                           "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class OtherHook:
    def __init__(self, certs):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.path("hook.crt"), certs.path("hook.key"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.stripped = 0
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        with open(certs.path("ca.crt"), "rb") as f:
            self.ca = base64.b64encode(f.read()).decode()

    def registration(self, namespace):
        """Sorted behind ours by its name, so it is called after it."""
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "zz-old-operator"},
                "webhooks": [{"name": "old.operator.example", "admissionReviewVersions": ["v1"],
                              "sideEffects": "None",
                              "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/",
                                               "caBundle": self.ca},
                              "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                              "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                         "resources": ["pods"]}]}]}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
