# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios in alternating rounds and gathers raw numbers; judges nothing but wrongness."""
import dataclasses
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from . import process, stack, views
from .target import Target

LOAD_TIMEOUT_S = 40
DISTURBED = 0.05  # of the machine's CPU, used by others
EXIT_WRONG = 3
STORED_PREFIX = "bh.e.bench.a.~.~."  # of stack.NAMESPACE; design.md 5.1
STORED_STREAM_PREFIX = "bench~a~~"   # design.md 5.5


@dataclasses.dataclass
class Plan:
    binaries: pathlib.Path
    quick: bool
    rounds: int
    run_ms: int
    sidecar: bool
    targets: list

    def __post_init__(self):
        self.rounds = self.rounds or (5 if self.quick else 13)
        self.run_ms = self.run_ms or (400 if self.quick else 700)
        self.warm_ms = 100

    def wants(self, target):
        if target == "sidecar" and not self.sidecar:
            return False
        return self.targets is None or target in self.targets


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- the machine ----------------------------------------------------------------------------

def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return (done.stdout + done.stderr).strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _version(text):
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else text


def machine(plan):
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.M)
    root = pathlib.Path(__file__).resolve().parent
    cache = plan.binaries.parent / "CMakeCache.txt"
    flags = re.search(r"^CMAKE_C_FLAGS_RELWITHDEBINFO:\w+=(.*)$",
                      cache.read_text() if cache.exists() else "", re.M)
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "hypervisor": "hypervisor" in cpuinfo,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": platform.release(),
        "tcp": pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "libc": _output("getconf", "GNU_LIBC_VERSION"),
        "etcd": _version(_output(stack.tool("etcd"), "--version")),
        "nats_server": _version(_output(stack.tool("nats-server"), "--version")),
        "libuv": _output("pkg-config", "--modversion", "libuv"),
        "nghttp2": _output("pkg-config", "--modversion", "libnghttp2"),
        "compiler": _output("cc", "--version").split("\n", maxsplit=1)[0],
        "flags": flags.group(1) if flags else "",
        "commit": _output("git", "-C", str(root), "describe", "--always", "--dirty"),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


class Disturbance:
    """CPU time that neither the stack nor this program used: another's work on this machine."""

    def __init__(self, st):
        self.stack = st
        self.start = self._read()

    def _read(self):
        user, nice, system, _idle, _io, irq, soft, steal = map(
            int, pathlib.Path("/proc/stat").read_text(encoding="ascii").split()[1:9])
        tick = os.sysconf("SC_CLK_TCK")
        own = sum(p.cpu_s() for p in self.stack.processes) + sum(os.times()[:4])
        return time.monotonic(), (user + nice + system + irq + soft) / tick, steal / tick, own

    def shares(self):
        wall, busy, steal, own = (b - a for a, b in zip(self.start, self._read()))
        capacity = wall * os.cpu_count()
        return {"others": max(0.0, (busy - own) / capacity), "steal": steal / capacity}


# --- load scenarios -------------------------------------------------------------------------

def _chosen(found, st, plan):
    for t in found:
        t.servers = [p for p in st.processes if p.name in ("etcd", "nats")]
    return [t for t in found if plan.wants(t.name)]


def _etcd_targets(st, plan, scenario):
    up = st.etcd()
    found = [Target("direct", up, up, [])]
    if plan.wants("relay"):
        ready, p = st.relay(etcd=up)
        found.append(Target("relay", ready["etcd"], ready["etcd"], [p]))
    if plan.wants("sidecar"):
        ready, p = st.sidecar(etcd=up)
        found.append(Target("sidecar", ready["etcd"], ready["etcd"], [p]))
    if scenario.grpc_proxy and plan.wants("grpc-proxy"):
        address, p = st.grpc_proxy(up)
        found.append(Target("grpc-proxy", address, address, [p]))
    return _chosen(found, st, plan)


def _nats_targets(st, plan, scenario):
    """Two leaf nodes: a message between clients of one leaf never reaches the hub, and would be
    measured against nothing. relay-stored: the bare relay, with the client itself using the name
    under which the sidecar stores the subject; what a longer subject costs the server is in there,
    what the sidecar costs is not. direct-stored: the same without anything in the middle."""
    up, leaf = st.nats(jetstream=scenario.program == "js")
    stored = ["--prefix", STORED_PREFIX]
    if scenario.program == "js":
        stored += ["--stream-prefix", STORED_STREAM_PREFIX]
    found = [Target("direct", up, up, [])]
    if scenario.stored and plan.wants("direct-stored"):
        found.append(Target("direct-stored", up, up, [], extra=stored))
    if plan.wants("relay"):
        ready, p = st.relay(nats=up)
        found.append(Target("relay", ready["nats"], ready["nats"], [p]))
        if scenario.stored:
            found.append(Target("relay-stored", ready["nats"], ready["nats"], [p], extra=stored))
    if plan.wants("sidecar"):
        ready, p = st.sidecar(nats=up)
        found.append(Target("sidecar", ready["nats"], ready["nats"], [p]))
    if scenario.leaf and plan.wants("leaf"):
        (a, pa), (b, pb) = st.leaf("leaf-a", leaf), st.leaf("leaf-b", leaf)
        found.append(Target("leaf", a, b, [pa, pb]))
    return _chosen(found, st, plan)


def load(plan, scenario, target, run_ms, warm_ms, extra=()):
    """One run of a load program: its JSON, or {'error': …, 'wrong': bool}."""
    command = [plan.binaries / f"bench_load_{scenario.program or scenario.plane}",
               "--target", target.address, "--warm-ms", warm_ms, "--run-ms", run_ms,
               *(a.replace("{target}", target.name.removesuffix("-stored")) for a in scenario.load),
               *target.extra, *extra]
    if scenario.program in ("", "many") and scenario.plane == "nats":
        command += ["--answer-target", target.answer_address]
    watched = target.between + target.servers
    if watched:
        command += ["--cpu-pids", ",".join(str(p.pid) for p in watched)]
    arrivals = views.Arrivals(target.between[0]) if scenario.view == "foreign" else None
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                              timeout=LOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no end after {LOAD_TIMEOUT_S} s", "wrong": 1}
    if done.returncode != 0:
        return {"error": done.stderr.strip()[-300:] or f"exit status {done.returncode}",
                "wrong": 1 if done.returncode == EXIT_WRONG else 0}
    numbers = json.loads(done.stdout)
    cpu_us = numbers["cpu_us"]
    numbers["cpu_us"] = sum(cpu_us[:len(target.between)]) if target.between else None
    numbers["server_cpu_us"] = sum(cpu_us[len(target.between):]) if target.servers else None
    if arrivals and run_ms:
        numbers["cpu_us"] = arrivals.cpu_us(numbers["ops"])
    return numbers


def _round(plan, scenario, targets, r):
    """Visits every target once. Each round starts with another, every second one goes backwards,
    so that no target always follows the same one."""
    order = targets[r % len(targets):] + targets[:r % len(targets)]
    run_ms, warm_ms = max(plan.run_ms, scenario.run_ms), max(plan.warm_ms, scenario.warm_ms)
    if scenario.view == "foreign":
        warm_ms = 0  # every event counts, as does its CPU
    return {t.name: load(plan, scenario, t, run_ms, warm_ms)
            for t in (order if r % 2 == 0 else reversed(order))}


def _alternate(plan, scenario, targets, st):
    """The rounds, and what disturbed them. A round during which somebody else used the machine is
    made again, at most twice the rounds in all: then the least disturbed ones count."""
    made = []
    rounds = min(plan.rounds, scenario.rounds or plan.rounds)
    for r in range(2 * rounds):
        disturbance = Disturbance(st)
        got = _round(plan, scenario, targets, r)
        made.append((disturbance.shares(), got))
        if sum(shares["others"] <= DISTURBED for shares, _ in made) == rounds:
            break
    made.sort(key=lambda m: (m[0]["others"] > DISTURBED, m[0]["others"]))
    kept, left_out = made[:rounds], made[rounds:]
    wrong = [got for _, got in left_out if any("error" in v for v in got.values())]
    worst = {kind: max(shares[kind] for shares, _ in kept) for kind in ("others", "steal")}
    return [got for _, got in kept] + wrong, {**worst, "left_out": len(left_out)}


def targets_of(scenario):
    special = {"range": views.range_targets, "event": views.event_targets,
               "foreign": views.foreign_targets}
    if scenario.view:
        return special[scenario.view]
    return _etcd_targets if scenario.plane == "etcd" else _nats_targets


def _is_filled(scenario):
    return scenario.plane == "etcd" and scenario.program == "" and scenario.view in ("", "foreign")


def fill(plan, scenario, targets, st=None):
    """Writes the keys that Ranges will read, through every target, and, given the stack, lets etcd
    settle. Rounds, empty but for errors."""
    errors = []
    for t in targets if _is_filled(scenario) else []:
        done = load(plan, scenario, t, 0, 0, ("--fill", "1", "--inflight", "16"))
        if "error" in done:
            errors.append({t.name: done})
    if st is not None and scenario.settled and _is_filled(scenario):
        st.settle_etcd()
    return errors


def run_load(plan, scenario):
    with stack.Stack(plan.binaries) as st:
        targets = targets_of(scenario)(st, plan, scenario)
        errors = fill(plan, scenario, targets, st)
        if errors:
            return {"rounds": errors}
        if not targets:
            return {"rounds": []}
        rounds, disturbance = _alternate(plan, scenario, targets, st)
        return {"rounds": rounds, "disturbance": disturbance,
                "dead": [p.name for p in st.processes if not p.is_alive()]}


# --- all of it ------------------------------------------------------------------------------

def everything(chosen, plan):
    stack.raise_file_limit()
    result = {"machine": machine(plan), "rounds": plan.rounds, "run_ms": plan.run_ms,
              "load_before": os.getloadavg()[0], "scenarios": {}}
    runners = {"memory": process.run_memory, "memory_open": process.run_memory_open,
               "views": views.run_views, "ready": process.run_ready,
               "check_perf": process.run_check_perf}
    for s in chosen:
        say(f"bench: {s.name}: {s.title}")
        try:
            got = runners.get(s.plane, run_load)(plan, s)
        except stack.StackError as e:
            got = {"rounds": [], "error": str(e)}
        result["scenarios"][s.name] = got
        for problem in problems({s.name: got}):
            say(f"bench: {problem}")
    return result


def problems(found):
    """Everything that went wrong, as sentences."""
    said = []
    for name, got in found.items():
        if "error" in got:
            said.append(f"{name}: {got['error']}")
        for dead in got.get("dead", []):
            said.append(f"{name}: {dead} died")
        for r in got["rounds"]:
            said += [f"{name}: {t}: {v['error']}" for t, v in r.items() if "error" in v]
    return said


def exit_status(result):
    """1: the sidecar was wrong or lost a connection; 2: something else could not be measured."""
    status = 0
    for got in result["scenarios"].values():
        failed = {t for r in got["rounds"] for t, v in r.items() if "error" in v}
        failed |= set(got.get("dead", []))
        if failed & {"sidecar", "view"} or "sidecar" in got.get("error", ""):
            return 1
        if "error" in got or failed & {"direct", "relay"}:
            status = 2
    return status
