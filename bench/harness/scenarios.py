# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what the results are held against (the table the project set itself)."""
import dataclasses

ETCD_TARGETS = ("direct", "relay", "sidecar", "grpc-proxy")
NATS_TARGETS = ("direct", "relay", "sidecar", "leaf")
REAL_SUBJECT = "namespace.dynamo.component.backend.endpoint.generate"


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    plane: str  # etcd | nats | memory | ready
    load: tuple = ()  # arguments of the load program; {target} is the target's name
    quick: bool = True
    program: str = ""  # bench_load_…; "" = that of the plane
    stored: bool = False  # also with the subject as it is stored, direct and through the relay
    leaf: bool = True
    grpc_proxy: bool = True
    view: str = ""  # targets of harness/views.py
    settled: bool = True  # etcd's read buffer is empty when measuring begins (stack.settle_etcd)
    warm_ms: int = 0  # at least so long, where what is measured has a rhythm of its own
    run_ms: int = 0
    rounds: int = 0  # at most


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


CHECK = ("--op", "put", "--value-bytes", "1024", "--suffix", "k" * 244)
FOREIGN = ("--op", "put", "--prefix", "bh/d/n", "--suffix", ".other/x", "--keys", "10000",
           "--rare", ".instances/", "--rare-every", "100")

ALL = (
    Scenario("etcd_range_c1m1", "one Range of one key at a time", "etcd", ("--op", "range")),
    Scenario("etcd_put_c1m1", "one Put of 100 bytes at a time", "etcd", ("--op", "put")),
    Scenario("etcd_range_c1m64", "Range, 64 in flight on one connection", "etcd",
             ("--op", "range", "--inflight", "64")),
    Scenario("etcd_range_c1m64_burst", "the same right after 4000 puts: etcd copies their buffer "
             "for every Range", "etcd", ("--op", "range", "--inflight", "64"), settled=False),
    Scenario("etcd_put_c1m64", "Put, 64 in flight on one connection", "etcd",
             ("--op", "put", "--inflight", "64")),
    Scenario("etcd_range_c8m8", "Range, 8 connections with 8 in flight", "etcd",
             ("--op", "range", "--conns", "8", "--inflight", "8"), quick=False),
    Scenario("etcd_list1000_c1m1", "Range of 1000 keys of 100 bytes at a time", "etcd",
             ("--op", "list"), quick=False),
    Scenario("etcd_list10000", "Range of 10,000 keys of 200 bytes at a time", "etcd",
             ("--op", "list", "--keys", "10000", "--list-keys", "10000", "--value-bytes", "200")),
    Scenario("etcd_check_load", "Put of 1 KiB, 50 connections: what `etcdctl check perf` does, "
             "without its limit", "etcd",
             ("--op", "put", "--conns", "50", "--value-bytes", "1024")),
    *(Scenario(f"etcd_watch_{n}", f"one event to {n} watcher{'s' if n > 1 else ''}", "etcd",
               ("--mode", "watch", "--n", str(n)), program="streams") for n in (1, 1000)),
    Scenario("etcd_keepalive_1000", "keep-alives of 1000 leases of 6 s, all asked for every 2 s", "etcd",
             ("--mode", "keepalive", "--n", "1000"), program="streams", warm_ms=3000, run_ms=4000,
             rounds=3),
    *(Scenario(f"etcd_check_{load}", f"what `etcdctl check perf --load {load}` does: {clients} clients, "
               f"{limit} puts a second of 256 + 1024 bytes", "etcd",
               (*CHECK, "--conns", str(clients), "--limit", str(limit)), run_ms=4000, rounds=2,
               grpc_proxy=False)
      for load, clients, limit in (("s", 50, 150), ("m", 200, 1000))),
    Scenario("etcd_check_perf", "etcdctl check perf --load s", "check_perf", quick=False),
    *(Scenario(f"nats_oneway_{n}", f"{n}-byte messages one way, full speed", "nats",
               ("--mode", "oneway", "--bytes", str(n)), stored=True)
      for n in (16, 128, 1024, 65536)),
    *(Scenario(f"nats_oneway_real_{n}", f"{n}-byte messages one way, a subject as Dynamo has them", "nats",
               ("--mode", "oneway", "--bytes", str(n), "--subject", REAL_SUBJECT), stored=True)
      for n in (16, 128)),
    Scenario("nats_request_m1", "request-reply of 128 bytes, one at a time", "nats",
             ("--mode", "request", "--bytes", "128")),
    Scenario("nats_request_m64", "request-reply of 128 bytes, 64 in flight", "nats",
             ("--mode", "request", "--bytes", "128", "--inflight", "64"), stored=True),
    Scenario("nats_fanout_100", "128-byte messages, one publisher to 100 subscribers", "nats",
             ("--mode", "fanout", "--n", "100"), program="many", leaf=False),
    Scenario("nats_subs", "100,000 SUB lines and a PING", "nats",
             ("--mode", "subs", "--n", "100000"), program="many", leaf=False),
    Scenario("nats_js_publish", "128-byte publishes to a stream, 64 acks in flight", "nats",
             ("--mode", "publish", "--stream", "B_{target}"), program="js", leaf=False,
             stored=True),
    Scenario("nats_js_pull", "batches of 100 pulled from a stream", "nats",
             ("--mode", "pull", "--stream", "B_{target}"), program="js", leaf=False,
             stored=True),
    Scenario("view_range", "Range of 1000 keys, own and of 100 children", "etcd",
             ("--op", "list", "--prefix", "instances/"), view="range"),
    Scenario("view_foreign", "a root's watch over 10,000 namespaces, 8 clients with 8 puts in flight "
             "each; 1 % of them are shown", "etcd", (*FOREIGN, "--conns", "8", "--inflight", "8"),
             view="foreign"),
    Scenario("view_foreign_alone", "the same, one put at a time", "etcd", FOREIGN, view="foreign"),
    Scenario("view_event", "one event at a time, to the own namespace and to the parent", "nats",
             ("--mode", "event", "--subject", "namespace.bench"), view="event"),
    Scenario("views", "subscriptions and memory of views", "views"),
    Scenario("memory", "memory, idle", "memory"),
    Scenario("memory_open", "memory of what is open", "memory_open"),
    Scenario("ready", "exec to ready line", "ready"),
)


def _one_at_a_time(op):
    name = f"etcd_{op}_c1m1"
    title = f"etcd {op}, one at a time"
    return (
        Row(name, "p50_us", "relay", f"{title}: p50 / relay", 1.20, 1.08),
        Row(name, "cpu_us", "relay", f"{title}: CPU / relay", 1.6, 1.25),
        Row(name, "rate", "relay", f"{title}: rate / relay", more_is_better=True),
        Row(name, "rate", "grpc-proxy", f"{title}: rate / grpc-proxy", more_is_better=True),
    )


def _in_flight(op):
    name = f"etcd_{op}_c1m64"
    title = f"etcd {op}, 64 in flight"
    return (
        Row(name, "rate", "grpc-proxy", f"{title}: rate / grpc-proxy", 1.8, 3, True),
        Row(name, "rate", "relay", f"{title}: rate / relay", more_is_better=True),
        Row(name, "rate", "grpc-proxy", f"(ceiling: {title}: relay / grpc-proxy)",
            more_is_better=True, of="relay"),
        Row(name, "cpu_us", "grpc-proxy", f"{title}: CPU / grpc-proxy"),
    )


def _watchers(n):
    name = f"etcd_watch_{n}"
    return (
        Row(name, "p50_us", "relay", f"etcd, one event to {n}: p50 / relay", 1.3, 1.1),
        Row(name, "p50_us", "grpc-proxy", f"etcd, one event to {n}: p50 / grpc-proxy"),
    )


def _one_way(size, what=""):
    name = f"nats_oneway_{size}"
    what = what or f"{size} B"
    title = f"NATS one way, {what}"
    return (
        Row(name, "rate", "relay", f"{title}: rate / relay", 0.8, 0.95, True),
        Row(name, "rate", "relay", f"(ceiling: {title}: relay-stored / relay)",
            more_is_better=True, of="relay-stored"),
        Row(name, "rate", "leaf", f"{title}: rate / leaf nodes", more_is_better=True),
        Row(name, "cpu_us", "relay", f"{title}: CPU / relay", 2.0, 1.3),
        Row(name, "cpu_us", "leaf", f"{title}: CPU / leaf nodes"),
        Row(name, "rate", "direct", f"the server's own cost, {what}: mapped subject / plain",
            0.85, 0.95, True, of="direct-stored"),
    )


ROWS = (
    *_one_at_a_time("range"),
    *_one_at_a_time("put"),
    *_in_flight("range"),
    *_in_flight("put"),
    Row("etcd_range_c1m64_burst", "rate", "grpc-proxy", "etcd range, 64 in flight, right after a "
        "burst of puts: rate / grpc-proxy", more_is_better=True),
    Row("etcd_range_c1m64_burst", "rate", "grpc-proxy", "(ceiling: the same: relay / grpc-proxy)",
        more_is_better=True, of="relay"),
    Row("etcd_range_c8m8", "rate", "grpc-proxy", "etcd range, 8 x 8: rate / grpc-proxy",
        more_is_better=True),
    Row("etcd_list1000_c1m1", "p50_us", "relay", "etcd list of 1000: p50 / relay"),
    *_watchers(1),
    *_watchers(1000),
    Row("etcd_list10000", "cpu_us", "relay", "etcd list of 10,000: CPU / relay", 2.0, 1.4),
    Row("etcd_list10000", "p50_us", "relay", "etcd list of 10,000: p50 / relay"),
    Row("etcd_keepalive_1000", "cpu_us", "grpc-proxy", "etcd keep-alive, 1000 leases at the same rate: "
        "CPU / grpc-proxy", 0.5, 0.25),
    Row("etcd_check_load", "rate", "direct", "etcd, 50 clients put 1 KiB without a limit: rate / direct",
        more_is_better=True),
    Row("etcd_check_load", "rate", "direct", "(ceiling: etcd, 50 clients without a limit: relay / direct)",
        more_is_better=True, of="relay"),
    *(Row(f"etcd_check_{load}", "rate", "direct", f"etcdctl check perf's profile {load} ({limit} writes a "
          "second): throughput / direct", 0.9, 0.97, True) for load, limit in (("s", 150), ("m", 1000))),
    *(Row(f"etcd_check_{load}", "p99_us", "direct", f"the same, {load}: p99 / direct")
      for load in ("s", "m")),
    Row("etcd_check_perf", "rate", "direct", "etcdctl check perf itself: writes a second / direct", 0.9,
        0.97, True),
    Row("memory_open", "watches_mib", "", "memory (Pss) of 1000 idle watches on one stream", 4, 1,
        unit="MiB"),
    Row("memory_open", "streams_mib", "", "memory (Pss) of 1000 idle watches, a stream each", 4, 1,
        unit="MiB"),
    Row("memory_open", "slow_mib", "", "peak memory, a list of 64 MiB to a slow reader", 80, 66,
        unit="MiB"),
    *_one_way(16),
    *_one_way(128),
    *_one_way(1024),
    *_one_way(65536),
    *_one_way("real_16", "16 B, a real subject"),
    *_one_way("real_128", "128 B, a real subject"),
    Row("nats_request_m1", "p50_us", "relay", "NATS request-reply, one at a time: p50 / relay",
        1.12, 1.04),
    Row("nats_request_m1", "p50_us", "leaf", "NATS request-reply, one at a time: p50 / leaf nodes",
        0.9, 0.6),
    Row("nats_request_m1", "cpu_us", "leaf", "NATS request-reply, one at a time: CPU / leaf nodes",
        0.5, 0.25),
    Row("nats_request_m64", "rate", "relay", "NATS request-reply, 64 in flight: rate / relay",
        0.8, 0.95, True),
    Row("nats_request_m64", "rate", "relay", "(ceiling: NATS request-reply, 64 in flight: "
        "relay-stored / relay)", more_is_better=True, of="relay-stored"),
    Row("nats_request_m64", "cpu_us", "leaf", "NATS request-reply, 64 in flight: CPU / leaf nodes"),
    Row("nats_fanout_100", "rate", "relay", "NATS 1 to 100 subscribers: rate / relay", 0.8, 0.95,
        True),
    Row("nats_js_publish", "rate", "relay", "JetStream publish with ack: rate / relay", 0.85, 0.95,
        True),
    Row("nats_js_publish", "rate", "relay", "(ceiling: the same: relay-stored / relay)",
        more_is_better=True, of="relay-stored"),
    Row("nats_js_pull", "rate", "relay", "JetStream pull of 100: rate / relay", 0.85, 0.95, True),
    Row("nats_js_pull", "rate", "relay", "(ceiling: the same: relay-stored / relay)",
        more_is_better=True, of="relay-stored"),
    Row("nats_subs", "p50_us", "direct", "100,000 SUB lines: time / direct", 2.0, 1.2),
    Row("memory", "idle_mib", "", "memory (Pss), idle, one client each", 6, 3, unit="MiB"),
    Row("memory", "connection_kib", "", "memory (Pss) of an idle NATS connection", 12, 5,
        unit="KiB"),
    Row("memory_open", "subscription_bytes", "", "memory (Pss) of a NATS subscription", 200, 64,
        unit="B"),
    Row("view_range", "cpu_us", "sidecar", "Range over 100 children, 1000 keys: CPU / own Range", 3,
        1.3, of="view"),
    Row("view_foreign", "cpu_us", "", "root watch over 10,000 namespaces, 1 % of the events shown: "
        "CPU an event, 64 puts in flight", 1.0, 0.3, unit="µs", of="view"),
    Row("view_foreign", "cpu_us", "", "(a relay that hands on the same events)", unit="µs",
        of="relay"),
    Row("view_foreign_alone", "cpu_us", "", "the same, one put at a time: each event alone wakes us",
        unit="µs", of="view"),
    Row("view_foreign_alone", "cpu_us", "", "(the same of that: a relay)", unit="µs", of="relay"),
    Row("view_event", "p50_us", "sidecar", "an event through a parent's view: p50 / own view", 1.1,
        1.02, of="view"),
    Row("views", "holder_bytes", "", "memory (Pss) of a key in view", 96, 40, unit="B"),
    Row("views", "subs_ordinary", "", "upstream subscriptions of a literal one", 1, 1),
    Row("views", "subs_event", "", "the same, in view.events", 2, 2),
    Row("views", "subs_request", "", "the same, in view.requests at depth 2", 4, 3),
    Row("ready", "ready_ms", "", "exec to ready line", 50, 10, unit="ms"),
)


def _named(only):
    """The scenario of that name, or all whose name contains it."""
    return [s for s in ALL if s.name == only] or [s for s in ALL if only in s.name]


def choose(only, quick):
    if only:
        wanted = {s.name for o in only for s in _named(o)}
        return [s for s in ALL if s.name in wanted]
    return [s for s in ALL if s.quick or not quick]
