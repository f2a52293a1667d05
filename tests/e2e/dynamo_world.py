# SPDX-License-Identifier: Apache-2.0
"""Real Dynamo, mock engines and KV-routing frontends, of two eras, on a Stack.

    1.4  core NATS requests, keys v1/instances/ v1/mdc/           (ai-dynamo 1.4.2)
    0.5  JetStream events, object store, keys instances/ mdc/     (ai-dynamo 0.5.1)

Who served whom is read from the frontends' own logs: the router says which worker it selected, by the
instance id that stands in the worker's key. Used by scripts/quickstart --dynamo and tests/more/dynamo."""

import collections
import json
import os
import re
import urllib.error
import urllib.request
import uuid

import stack as real

HERE = os.path.dirname(os.path.realpath(__file__))
# Only who was selected, not every answer of the HTTP service.
LOG = "warn,dynamo_llm::kv_router=info,dynamo_kv_router=info,dynamo_runtime::pipeline=info"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Era:
    def __init__(self, name, env, worker, key, selected, overlap):
        self.name, self.env, self.worker = name, env, worker
        self.key, self.selected, self.overlap = re.compile(key), re.compile(selected), re.compile(overlap)
        self.python = os.path.join(real.ROOT, "build", f"venv-dynamo-{name}", "bin", "python")

    def model(self, stack):
        """The name under which workers serve: 1.4 wants the path itself."""
        return stack.path("model") if self.name == "1.4" else "tiny"


ERAS = (
    Era("1.4", {"DYN_DISCOVERY_BACKEND": "etcd", "DYN_REQUEST_PLANE": "nats", "DYN_EVENT_PLANE": "nats"},
        lambda stack: ["--speedup-ratio", "10", "--block-size", "16"],
        r"v1/instances/dynamo/backend/generate/([0-9a-f]+)$",
        r'selector: Selected worker .*?worker_id=(\d+)', r"overlap_blocks=(\d+)"),
    Era("0.5", {}, lambda stack: ["--extra-engine-args", stack.path("engine.json")],
        r"instances/dynamo/backend/generate:([0-9a-f]+)$",
        r"Selected worker: (\d+)", r"Selected worker: .*cached blocks: (\d+)"),
)


def fetch(url, body=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None,
                                     headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def make_model(stack):
    done = real.run([ERAS[0].python, "-B", os.path.join(HERE, "dynamo_model.py"), stack.path("model")])
    if done.returncode:
        raise real.StackError("the model was not made: " + done.stderr[-2000:])
    with open(stack.path("engine.json"), "w") as f:
        json.dump({"speedup_ratio": 10, "block_size": 16, "num_gpu_blocks": 1024}, f)


def settings(era, etcd_url, nats_url):
    return {"ETCD_ENDPOINTS": etcd_url, "NATS_SERVER": nats_url, "HF_HUB_OFFLINE": "1", "DYN_LOG": LOG, **era.env}


def stored_ids(era, etcd):
    """{decimal instance id: stored key} of all workers of an era in the shared etcd."""
    keys = real.etcdctl(etcd.url, "get", "", "--prefix", "--keys-only").stdout.split()
    found = {}
    for key in keys:
        match = era.key.search(key)
        if match and ("v1/" in key) == (era.name == "1.4"):
            found[int(match.group(1), 16)] = key
    return found


class Worker:
    def __init__(self, stack, era, etcd, who, etcd_url, nats_url):
        self.era, self.who = era, who
        before = stored_ids(era, etcd)
        self.process = stack.process(f"worker-{era.name}-" + re.sub(r"\W+", "-", who), [
            era.python, "-m", "dynamo.mocker", "--model-path", stack.path("model"), "--model-name", era.model(stack),
            *era.worker(stack)], env=settings(era, etcd_url, nats_url))
        new = self.process.until(lambda: stored_ids(era, etcd).keys() - before.keys(), "the worker registers", 120)
        self.id = new.pop()


class Frontend:
    def __init__(self, stack, era, who, etcd_url, nats_url):
        self.era, self.who, self.model = era, who, era.model(stack)
        port = real.free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = stack.process(f"frontend-{era.name}-" + re.sub(r"\W+", "-", who), [
            era.python, "-m", "dynamo.frontend", "--http-port", str(port), "--router-mode", "kv"],
            env=settings(era, etcd_url, nats_url))

    def models(self):
        try:
            return [m["id"] for m in fetch(self.url + "/v1/models")["data"]]
        except (OSError, urllib.error.URLError):
            return None

    def until_listed(self):
        self.process.until(lambda: self.models() == [self.model], f"the frontend of {self.who} lists the model", 120)

    def ask(self, text):
        """True: answered by a worker."""
        try:
            answer = fetch(self.url + "/v1/chat/completions", {
                "model": self.model, "max_tokens": 8, "messages": [{"role": "user", "content": text}]})
        except urllib.error.HTTPError:
            return False
        return [c["message"]["role"] for c in answer["choices"]] == ["assistant"]

    def log(self):
        return COLOUR.sub("", self.process.log())

    def selections(self):
        """Counter of instance ids that the router selected since the start."""
        return collections.Counter(int(i) for i in self.era.selected.findall(self.log()))

    def overlap(self):
        """The most blocks that the router knew a selected worker to have already."""
        return max((int(n) for n in self.era.overlap.findall(self.log())), default=0)

    def ask_many(self, count):
        """(answered, Counter of who was selected meanwhile). No prompt begins like another: the router
        would send it where the beginning is cached."""
        before = self.selections()
        answered = sum(self.ask(f"{uuid.uuid4()} says hello") for _ in range(count))
        return answered, self.selections() - before
