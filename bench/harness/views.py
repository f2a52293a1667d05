# SPDX-License-Identifier: Apache-2.0
"""What a parent pays for seeing its descendants: issue 7's table.

Namespaces are made as sidecars would have made them: their line in the registry and their keys, written
straight into etcd (design.md 4.1) through its JSON gateway.
"""
import base64
import json
import pathlib
import socket
import time
import urllib.request

from . import process, stack
from .target import Target

CHILDREN, KEYS_EACH = 100, 10
TREE = 10000  # namespaces under a root's watch
HELD_KEYS = 20000
PUTS_A_TXN = 100
VALUE_BYTES = 100
PARENT = "bench/p"


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def _put_all(etcd, pairs):
    for i in range(0, len(pairs), PUTS_A_TXN):
        body = {"success": [{"requestPut": {"key": _b64(k), "value": _b64(v)}}
                            for k, v in pairs[i:i + PUTS_A_TXN]]}
        request = urllib.request.Request(f"http://{etcd}/v3/kv/txn", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()


def _namespace(path):
    """Its line in the registry."""
    return f"bh/m/n/{path}.", '{"created":"2026-01-01T00:00:00Z","tag":"000000"}'


def _key(path, key):
    """As bench_load_etcd expects it: a value begins with its key."""
    return f"bh/d/{path}.{key}", key.ljust(VALUE_BYTES, "v")


def range_targets(st, plan, _scenario):
    """The same 1000 keys, in one namespace and in 100 children of another."""
    etcd = st.etcd()
    keys = [f"instances/{i:06}" for i in range(CHILDREN * KEYS_EACH)]
    pairs = [_key(stack.NAMESPACE, k) for k in keys]
    for child in range(CHILDREN):
        path = f"{PARENT}/c{child:03}"
        pairs.append(_namespace(path))
        pairs += [_key(path, k) for k in keys[child * KEYS_EACH:(child + 1) * KEYS_EACH]]
    _put_all(etcd, pairs)
    own, p = st.sidecar(etcd=etcd)
    view, q = st.sidecar(etcd=etcd, namespace=PARENT, view="subtree")
    found = [Target("sidecar", own["etcd"], own["etcd"], [p]),
             Target("view", view["etcd"], view["etcd"], [q])]
    return [t for t in found if plan.wants("sidecar")]


def event_targets(st, plan, _scenario):
    """A child publishes; a member of its own namespace hears it, or its parent."""
    nats, _ = st.nats()
    child = f"{PARENT}/c"
    (a, pa), (b, pb), (c, pc) = (st.sidecar(nats=nats, namespace=child),
                                 st.sidecar(nats=nats, namespace=child),
                                 st.sidecar(nats=nats, namespace=PARENT, view="subtree"))
    found = [Target("sidecar", a["nats"], b["nats"], [pa, pb]),
             Target("view", a["nats"], c["nats"], [pa, pc])]
    return [t for t in found if plan.wants("sidecar")]


def foreign_targets(st, plan, _scenario):
    """Puts straight into etcd, of keys that the root's watch does not show: the CPU is that of the
    sidecar that has to look at their events. Of a relay too, on an etcd of its own, between it and a
    client that watches all of them: that is what the kernel takes for the same bytes."""
    found = []
    if plan.wants("relay"):
        etcd = st.etcd("etcd-relay")
        ready, p = st.relay(etcd=etcd)
        st.start("watch-relay", _watch(plan, ready["etcd"], "bh/d/"), stdin=process.PIPE).line()
        found.append(Target("relay", etcd, etcd, [p]))
    if plan.wants("sidecar"):
        etcd = st.etcd()
        _put_all(etcd, [_namespace(f"n{i:06}") for i in range(TREE)])
        root, p = st.sidecar(etcd=etcd, namespace="default", view="subtree")
        st.start("watch", _watch(plan, root["etcd"]), stdin=process.PIPE).line()
        found.append(Target("view", etcd, etcd, [p]))
    return found


class Arrivals:
    """The CPU of the sidecar for the events of puts. Under load etcd itself lets a watch fall behind
    and sends what it missed afterwards, so the clock stops when nothing more comes."""

    EVENT_BYTES_LEAST = 100  # on the wire: its key and value alone are longer
    QUIET_S, MOST_S = 0.3, 20

    def __init__(self, sidecar):
        self.sidecar = sidecar
        self.cpu_s, self.bytes = sidecar.cpu_s(), self._read_bytes()

    def _read_bytes(self):
        text = pathlib.Path(f"/proc/{self.sidecar.pid}/io").read_text(encoding="ascii")
        return int(text.split("rchar:")[1].split()[0])

    def cpu_us(self, events):
        """Of one of so many events, all of which must have come."""
        end = time.monotonic() + self.MOST_S
        last, now = -1, self._read_bytes()
        while now != last and time.monotonic() < end:
            time.sleep(self.QUIET_S)
            last, now = now, self._read_bytes()
        if now - self.bytes < events * self.EVENT_BYTES_LEAST:
            raise stack.StackError(f"{events} events did not come to {self.sidecar.name}: "
                                   f"{now - self.bytes} bytes")
        return (self.sidecar.cpu_s() - self.cpu_s) / events * 1e6


def _watch(plan, address, prefix="instances/"):
    return [plan.binaries / "bench_load_streams", "--target", address, "--mode", "hold", "--prefix",
            prefix, "--range", "1"]


def _holder_bytes(plan, st):
    """A key in view, held by one of 1000 namespaces: how much the sidecar of their root grows."""
    etcd = st.etcd()
    _put_all(etcd, [_namespace(f"n{i:06}") for i in range(1000)]
             + [_key(f"n{i % 1000:06}", f"instances/{i:06}") for i in range(HELD_KEYS)])

    def grown(prefix):
        ready, p = st.sidecar(etcd=etcd, namespace="default", view="subtree")
        holder = st.start("watch", _watch(plan, ready["etcd"], prefix), stdin=process.PIPE)
        holder.line()
        time.sleep(process.SETTLE_S)
        pss = p.memory_kib()["pss"]
        for q in (holder, p):
            st.stop(q)
        return pss
    return (grown("instances/") - grown("mdc/")) * 1024 / HELD_KEYS


def _upstream_subscriptions(st):
    """Of one literal SUB each, at depth 2: what the server says that connection has."""
    nats, _, monitor = st.nats(monitor=True)
    ready, p = st.sidecar(nats=nats, namespace=PARENT, view="subtree")
    found = {}
    for kind, subject in (("ordinary", "foo.bar"), ("event", "namespace.x"),
                          ("request", "a.b-0123456789ab")):
        with socket.create_connection(ready["nats"].rsplit(":", 1)) as s, s.makefile("rb") as f:
            f.readline()
            s.sendall(b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPING\r\n' % subject.encode())
            while not f.readline().startswith(b"PONG"):
                pass
            with urllib.request.urlopen(f"http://{monitor}/connz?subs=1", timeout=5) as answer:
                found[f"subs_{kind}"] = sum(
                    len(c.get("subscriptions_list", []))
                    for c in json.load(answer)["connections"])
        time.sleep(0.2)
    st.stop(p)
    return found


def run_views(plan, _scenario):
    if not plan.wants("sidecar"):
        return {"rounds": []}
    with stack.Stack(plan.binaries) as st:
        try:
            got = {**_upstream_subscriptions(st), "holder_bytes": _holder_bytes(plan, st)}
        except (stack.StackError, OSError, KeyError) as e:
            got = {"error": str(e)}
        return {"rounds": [{"sidecar": got}]}
