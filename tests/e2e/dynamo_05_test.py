# SPDX-License-Identifier: Apache-2.0
"""Dynamo 0.5.1, the era of NATS requests, JetStream and object store: two tenants serve a model of the
same name, worker and frontend each, through sidecars; when one stops, the other goes on.

Runs only where build/venv-dynamo-0.5 has been made (README.md), because it takes 300 MB."""

import asyncio
import json
import os
import re
import unittest
import urllib.error
import urllib.request

import cases
import stack as real

PYTHON = os.path.join(real.ROOT, "build", "venv-dynamo-0.5", "bin", "python")
MODEL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "dynamo_model.py")
KV_EVENTS = "namespace-dynamo-component-backend-kv-events"


def get(url, body=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@unittest.skipUnless(os.access(PYTHON, os.X_OK), "build/venv-dynamo-0.5 is not made: tests/e2e/README.md")
class Dynamo05(cases.Shared):
    view = "subtree"
    jetstream = True

    def start(self, sidecar):
        env = {"ETCD_ENDPOINTS": sidecar.etcd_url, "NATS_SERVER": sidecar.nats_url, "HF_HUB_OFFLINE": "1"}
        engine = self.stack.path("engine.json")
        with open(engine, "w") as f:
            json.dump({"speedup_ratio": 10, "block_size": 16, "num_gpu_blocks": 1024}, f)
        worker = self.stack.process("worker", [PYTHON, "-m", "dynamo.mocker", "--model-path", self.stack.path("model"), "--model-name", "tiny",
                                               "--extra-engine-args", engine], env=env)
        port = real.free_port()
        frontend = self.stack.process("frontend", [PYTHON, "-m", "dynamo.frontend", "--http-port", str(port), "--router-mode", "kv"], env=env)
        url = f"http://127.0.0.1:{port}"

        def listed():
            try:
                return [m["id"] for m in get(url + "/v1/models")["data"]] == ["tiny"]
            except (OSError, urllib.error.URLError):
                return False
        worker.until(listed, "the frontend lists the model", 90)
        return worker, frontend, url

    def ask(self, url):
        answer = get(url + "/v1/chat/completions", {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "hello world"}]})
        self.assertEqual(["assistant"], [c["message"]["role"] for c in answer["choices"]], answer)

    def streams(self):
        import nats  # of build/venv

        async def ask():
            raw = await nats.connect(self.nats.url)
            names = json.loads((await raw.request("$JS.API.STREAM.NAMES", b"")).data)["streams"]
            await raw.close()
            return names
        return asyncio.run(ask())

    def test_two_tenants_serve_the_same_model(self):
        done = real.run([PYTHON, "-B", MODEL, self.stack.path("model")])
        self.assertEqual(0, done.returncode, done.stderr)
        listening = cases.Listening(self)
        a, b = self.start(self.a), self.start(self.b)
        for _ in range(3):
            self.ask(a[2])
            self.ask(b[2])
        self.assertEqual([f"{t}~~{s}" for t in "ab" for s in ("OBJ_tiny", KV_EVENTS)], sorted(self.streams()))
        for process in a[:2]:
            process.stop()
        for _ in range(3):
            self.ask(b[2])
        listening.judge(*(rf"bh\.d\.{t}\.~\.~\.~\." for t in "ab"), r"\$JS\.API\.STREAM\.CREATE\.[ab]~~")
        keys = cases.check_stored_keys(self.etcd)
        self.assertTrue([k for k in keys if k == b"bh/d/b.mdc/tiny"], keys)
        for sidecar in (self.a, self.b):
            metrics = real.http_get(sidecar.health, "/metrics")[1]
            odd = re.findall(r"^bulkhead_(?:denied|foreign|protocol_errors)_total\{.*nats.*\} [1-9].*$", metrics, re.M)
            self.assertEqual([], odd)


if __name__ == "__main__":
    unittest.main(verbosity=2)
