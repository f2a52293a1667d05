# SPDX-License-Identifier: Apache-2.0
"""What is measured of a process as such: its memory, its start; and somebody else's benchmark."""
import contextlib
import json
import re
import subprocess
import time
from subprocess import PIPE

from . import stack

SETTLE_S = 1.0
IDLE_CONNECTIONS = 1000
IDLE_WATCHES = 1000
SUBSCRIPTIONS = 100000
SLOW_KEYS, SLOW_VALUE_BYTES = 16384, 4096  # 64 MiB
SLOW_S = 60
READY_RUNS = 20
CHECK_PERF_S = 100

@contextlib.contextmanager
def _holding(plan, st, program, *args):
    """A load program that is connected and idle."""
    p = st.start("holder", [plan.binaries / program, *args], stdin=PIPE)
    line = ""
    while line != "holding":
        line = p.line()
        line = "holding" if line.startswith("{") else line
    try:
        yield
    finally:
        st.stop(p)


def _memory(processes):
    total = {}
    for p in processes:
        for k, v in p.memory_kib().items():
            total[k] = total.get(k, 0) + v
    return total


def _measure_memory(plan, st, etcd, nats, start):
    """start() -> (etcd address, NATS address, processes). A fresh process for each question: an
    allocator that has served 1000 connections does not give everything back."""
    etcd_address, nats_address, between = start()
    result = {"bare": _memory(between)}
    with _holding(plan, st, "bench_load_etcd", "--target", etcd_address, "--fill", 1, "--keys", 1,
                  "--hold", 1), \
         _holding(plan, st, "bench_load_nats", "--target", nats_address, "--mode", "hold"):
        time.sleep(SETTLE_S)
        result["idle"] = _memory(between)
    for p in between:
        st.stop(p)
    _, nats_address, between = start()
    time.sleep(SETTLE_S)
    before = _memory(between)
    with _holding(plan, st, "bench_load_nats", "--target", nats_address, "--mode", "hold",
                  "--conns", IDLE_CONNECTIONS):
        time.sleep(SETTLE_S)
        after = _memory(between)
    for p in between:
        st.stop(p)
    result["connection_kib"] = (after["pss"] - before["pss"]) / IDLE_CONNECTIONS
    result["idle_mib"] = result["idle"]["pss"] / 1024
    return result


def run_memory(plan, _scenario):
    with stack.Stack(plan.binaries) as st:
        etcd, (nats, leaf) = st.etcd(), st.nats()

        def one(starter):
            def start():
                ready, p = starter(etcd=etcd, nats=nats)
                return ready["etcd"], ready["nats"], [p]
            return start

        def peers():
            proxy, p = st.grpc_proxy(etcd)
            address, q = st.leaf("leaf", leaf)
            return proxy, address, [p, q]

        ways = {"relay": one(st.relay), "sidecar": one(st.sidecar), "grpc-proxy + leaf": peers}
        got = {}
        for name, start in ways.items():
            if not plan.wants(name.split()[0]):
                continue
            try:
                got[name] = _measure_memory(plan, st, etcd, nats, start)
            except (stack.StackError, OSError, KeyError) as e:
                got[name] = {"error": str(e)}
        return {"rounds": [got]}


def run_ready(plan, _scenario):
    with stack.Stack(plan.binaries) as st:
        etcd, (nats, leaf) = st.etcd(), st.nats()
        ways = {
            "relay": ("ready ", st.relay_command(etcd=etcd, nats=nats)),
            "sidecar": ("ready ", st.sidecar_command(etcd=etcd, nats=nats)),
            "grpc-proxy": ("started gRPC proxy",
                           st.grpc_proxy_command(etcd, f"127.0.0.1:{stack.free_port()}")),
            "leaf": ("Server is ready",
                     st.leaf_command("leaf", leaf, f"127.0.0.1:{stack.free_port()}")),
        }
        got = {}
        for name, (text, command) in ways.items():
            if not plan.wants(name):
                continue
            done = subprocess.run(
                [str(c) for c in (plan.binaries / "bench_ready_time", READY_RUNS, text, *command)],
                capture_output=True, text=True, timeout=READY_RUNS * 25, check=False)
            if done.returncode != 0:
                got[name] = {"error": done.stderr.strip()[-300:]}
                continue
            numbers = json.loads(done.stdout)
            got[name] = {**numbers, "ready_ms": numbers["median_us"] / 1000}
        return {"rounds": [got]}


# --- memory of what is open -----------------------------------------------------------------

def _growth_kib(plan, st, start, program, *args):
    """start() -> (address, process): how much a fresh process grows while the holder is there."""
    address, p = start()
    time.sleep(SETTLE_S)
    before = p.memory_kib()["pss"]
    with _holding(plan, st, program, "--target", address, "--mode", "hold", *args):
        time.sleep(SETTLE_S)
        after = p.memory_kib()["pss"]
    st.stop(p)
    return after - before


def _slow_list_mib(plan, st, start):
    """The most that was ever resident while one large list passes to a reader that is slow."""
    address, p = start()
    load = plan.binaries / "bench_load_etcd"
    common = ["--target", address, "--prefix", "slow/"]
    subprocess.run([str(a) for a in (load, *common, "--fill", 1, "--keys", SLOW_KEYS, "--inflight",
                                     64, "--value-bytes", SLOW_VALUE_BYTES)],
                   check=True, stdout=subprocess.DEVNULL, timeout=SLOW_S)
    st.stop(p)
    address, p = start()
    subprocess.run([str(a) for a in (plan.binaries / "bench_load_streams", "--target", address,
                                     "--prefix", "slow/", "--mode", "slow", "--n", SLOW_KEYS)],
                   check=True, stdout=subprocess.DEVNULL, timeout=SLOW_S)
    peak = p.peak_kib() / 1024
    st.stop(p)
    return peak


def run_memory_open(plan, _scenario):
    with stack.Stack(plan.binaries) as st:
        etcd, (nats, _) = st.etcd(), st.nats()
        got = {}
        for name, starter in (("relay", st.relay), ("sidecar", st.sidecar)):
            def start(plane, starter=starter):
                def go():
                    ready, p = starter(etcd=etcd, nats=nats)
                    return ready[plane], p
                return go
            if not plan.wants(name):
                continue
            try:
                streams = ("--n", IDLE_WATCHES, "--streams")
                got[name] = {
                    "watches_mib": _growth_kib(plan, st, start("etcd"), "bench_load_streams",
                                               *streams, 1) / 1024,
                    "streams_mib": _growth_kib(plan, st, start("etcd"), "bench_load_streams",
                                               *streams, IDLE_WATCHES) / 1024,
                    "slow_mib": _slow_list_mib(plan, st, start("etcd")),
                    "subscription_bytes": _growth_kib(
                        plan, st, start("nats"), "bench_load_many", "--n", SUBSCRIPTIONS)
                    * 1024 / SUBSCRIPTIONS,
                }
            except (stack.StackError, OSError, KeyError, subprocess.SubprocessError) as e:
                got[name] = {"error": str(e)}
        return {"rounds": [got]}


# --- etcdctl check perf ---------------------------------------------------------------------

def run_check_perf(plan, _scenario):
    """Its own load, a minute a target; it asks for 150 writes a second and says how many it got."""
    if stack.tool("etcdctl") is None:
        return {"rounds": [], "error": "etcdctl is missing: apt-get install etcd-client"}
    with stack.Stack(plan.binaries) as st:
        etcd = st.etcd()
        ways = {"direct": etcd}
        if plan.wants("relay"):
            ways["relay"] = st.relay(etcd=etcd)[0]["etcd"]
        if plan.wants("sidecar"):
            ways["sidecar"] = st.sidecar(etcd=etcd)[0]["etcd"]
        got = {}
        for name, address in ways.items():
            done = subprocess.run([stack.tool("etcdctl"), "--endpoints", address, "check", "perf",
                                   "--load", "s"], capture_output=True, text=True, check=False,
                                  timeout=CHECK_PERF_S)
            rate = re.search(r"Throughput is (\d+) writes", done.stdout)
            got[name] = {"rate": float(rate.group(1))} if rate else {
                "error": (done.stdout + done.stderr)[-300:]}
        return {"rounds": [got]}
