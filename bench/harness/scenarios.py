# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what the results are held against (the table the project set itself)."""
import dataclasses

ETCD_TARGETS = ("direct", "relay", "sidecar", "grpc-proxy")
NATS_TARGETS = ("direct", "relay", "sidecar", "leaf")


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    plane: str  # etcd | nats | memory | ready
    load: tuple = ()  # arguments of the load program
    quick: bool = True


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a number of the sidecar, or its ratio to another target's."""
    scenario: str
    metric: str  # p50_us | rate | cpu_us | memory …
    over: str  # target below the fraction's bar; "" = the absolute value
    title: str
    must: float = None
    aim: float = None
    more_is_better: bool = False
    unit: str = ""
    of: str = "sidecar"  # target above the fraction's bar

    def judge(self, value):
        """yes | aim | no against must and aim; '' where nothing is demanded."""
        if self.must is None or value is None:
            return ""
        better = (lambda a, b: a >= b) if self.more_is_better else (lambda a, b: a <= b)
        return "aim" if better(value, self.aim) else "yes" if better(value, self.must) else "NO"


ALL = (
    Scenario("etcd_range_c1m1", "one Range of one key at a time", "etcd", ("--op", "range")),
    Scenario("etcd_put_c1m1", "one Put of 100 bytes at a time", "etcd", ("--op", "put")),
    Scenario("etcd_range_c1m64", "Range, 64 in flight on one connection", "etcd",
             ("--op", "range", "--inflight", "64")),
    Scenario("etcd_put_c1m64", "Put, 64 in flight on one connection", "etcd",
             ("--op", "put", "--inflight", "64")),
    Scenario("etcd_range_c8m8", "Range, 8 connections with 8 in flight", "etcd",
             ("--op", "range", "--conns", "8", "--inflight", "8"), quick=False),
    Scenario("etcd_list1000_c1m1", "Range of 1000 keys of 100 bytes at a time", "etcd",
             ("--op", "list"), quick=False),
    Scenario("nats_oneway_16", "16-byte messages one way, full speed", "nats",
             ("--mode", "oneway", "--bytes", "16")),
    Scenario("nats_oneway_128", "128-byte messages one way, full speed", "nats",
             ("--mode", "oneway", "--bytes", "128")),
    Scenario("nats_oneway_1024", "1 KiB messages one way, full speed", "nats",
             ("--mode", "oneway", "--bytes", "1024"), quick=False),
    Scenario("nats_request_m1", "request-reply of 128 bytes, one at a time", "nats",
             ("--mode", "request", "--bytes", "128")),
    Scenario("nats_request_m64", "request-reply of 128 bytes, 64 in flight", "nats",
             ("--mode", "request", "--bytes", "128", "--inflight", "64"), quick=False),
    Scenario("memory", "memory, idle", "memory"),
    Scenario("ready", "exec to ready line", "ready"),
)


def _one_at_a_time(op):
    name = f"etcd_{op}_c1m1"
    return (
        Row(name, "p50_us", "relay", f"etcd {op}, one at a time: p50 / relay", 1.20, 1.08),
        Row(name, "cpu_us", "relay", f"etcd {op}, one at a time: CPU / relay", 1.6, 1.25),
    )


def _in_flight(op):
    name = f"etcd_{op}_c1m64"
    return (
        Row(name, "rate", "grpc-proxy", f"etcd {op}, 64 in flight: rate / grpc-proxy", 1.8, 3,
            True),
        Row(name, "rate", "relay", f"etcd {op}, 64 in flight: rate / relay", more_is_better=True),
        Row(name, "rate", "grpc-proxy", f"(ceiling: etcd {op}, 64 in flight: relay / grpc-proxy)",
            more_is_better=True, of="relay"),
        Row(name, "cpu_us", "grpc-proxy", f"etcd {op}, 64 in flight: CPU / grpc-proxy"),
    )


def _one_way(size, must, aim):
    name = f"nats_oneway_{size}"
    return (
        Row(name, "rate", "relay", f"NATS one way, {size} B: rate / relay", must, aim, True),
        Row(name, "rate", "relay", f"(ceiling: NATS one way, {size} B: relay-stored / relay)",
            more_is_better=True, of="relay-stored"),
        Row(name, "rate", "leaf", f"NATS one way, {size} B: rate / leaf nodes",
            more_is_better=True),
        Row(name, "cpu_us", "relay", f"NATS one way, {size} B: CPU / relay"),
    )


ROWS = (
    *_one_at_a_time("range"),
    *_one_at_a_time("put"),
    *_in_flight("range"),
    *_in_flight("put"),
    Row("etcd_range_c8m8", "rate", "grpc-proxy", "etcd range, 8 x 8: rate / grpc-proxy",
        more_is_better=True),
    Row("etcd_list1000_c1m1", "p50_us", "relay", "etcd list of 1000: p50 / relay"),
    *_one_way(16, 0.7, 0.9),
    *_one_way(128, 0.7, 0.9),
    *_one_way(1024, None, None),
    Row("nats_request_m1", "p50_us", "relay", "NATS request-reply, one at a time: p50 / relay",
        1.15, 1.05),
    Row("nats_request_m1", "p50_us", "leaf", "NATS request-reply, one at a time: p50 / leaf nodes"),
    Row("nats_request_m64", "rate", "relay", "NATS request-reply, 64 in flight: rate / relay",
        more_is_better=True),
    Row("memory", "idle_mib", "", "memory (Pss), idle, one client each", 6, 3, unit="MiB"),
    Row("memory", "connection_kib", "", "memory (Pss) of an idle NATS connection", 16, 6,
        unit="KiB"),
    Row("ready", "ready_ms", "", "exec to ready line", 50, 10, unit="ms"),
)


def choose(only, quick):
    if only:
        exact = [s for s in ALL if s.name in only]
        return exact or [s for s in ALL if any(o in s.name for o in only)]
    return [s for s in ALL if s.quick or not quick]
