# SPDX-License-Identifier: Apache-2.0
"""One random program of core and JetStream operations by several clients, against a private server and,
through a sidecar, against one that is shared with two noisy neighbours: what every client hears, answers,
lists, infos and errors included, is equal after ids, times and sizes are masked.

The program is made from a seed, which is printed; DIFFERENTIAL_SEED repeats one, DIFFERENTIAL_S says for
how many seconds (default 40) and begins with another seed each time. Programs are short (OPS operations), each begins on empty servers. What the comparison leaves out: subjects that begin with "$JS" (a subscription to ">" hears
no requests to JetStream in a namespace, docs/jetstream.md), and what a push consumer has delivered so far.
"""

import json
import os
import random
import re
import time
import unittest

import cases
import rawnats
import stack as real

OPS = 60
FIRST_SEED = 645456330  # of the ordinary run, so that it tests the same every day; SEEDS=new begins anywhere
CLIENTS = 3
CONNECTS = ('{"verbose":false,"headers":true,"no_responders":true}',
            '{"verbose":false,"headers":true,"no_responders":true,"pedantic":true}',
            '{"verbose":false,"headers":true,"no_responders":true,"echo":false}')
SUBJECTS = ["a", "b", "a.b", "a.b.c", "orders.1", "orders.2", "orders.1.x", "kv.x", "$KV.x.k", "$KV.x.k.l",
            "gen.ep-0123456789abcdef", "$SRV.PING", "$SRV.PING.x", "_INBOX.z.1", "namespace.x.kv_events",
            "bh.e.b.~.~.~.a", "~", "%41", "a%2Fb", "mir.x"]
PATTERNS = SUBJECTS + ["*", ">", "a.*", "a.>", "*.b", "*.*", "orders.>", "$KV.>", "$SRV.>", "gen.*", "*.*.*", "bh.>"]
STREAMS = {
    "ORDERS": ["orders.>"],
    "KV_x": ["$KV.x.>"],
    "A": ["a", "a.b"],
    "REQ": ["gen.*"],
    "PLAIN": None,
    "x" * 200: ["b"],
    "OVER": ["orders.1"],
    "MIR": "mirror",
    "SRC": "sources",
}
CONSUMERS = ["C", "D", "E", "P"]
# Not ">": 2.9 treats that one as no filter, and a purge then takes away what a consumer has pending
# (docs/jetstream.md).
FILTERS = [None, "orders.1", "orders.*", "orders.>", "a", "$KV.x.k", "gen.*", "nothing"]
HEADERS = [None, "Nats-Msg-Id: 1", "Nats-Msg-Id: 2", "Nats-Expected-Stream: ORDERS", "Nats-Expected-Stream: NONE",
           "Nats-Expected-Last-Sequence: 1", "Nats-Expected-Last-Subject-Sequence: 0", "Nats-Rollup: sub",
           "Nats-Stream: ORDERS", "X-Own: bh.e.a.~.~.~.x"]

# Rows of the API's table that these programs do not ask, and why.
ELSEWHERE = {
    "INFO": "usage is masked in a namespace: nats_jetstream_test",
    "STREAM.SNAPSHOT": "denied in a namespace: nats_jetstream_test",
    "STREAM.RESTORE": "denied in a namespace: nats_jetstream_test",
    "STREAM.PEER.EVACUATE": "later servers, in a cluster; one server says nothing: unit/js_body",
    "STREAM.CANCEL_MOVE": "the same",
    "CONSUMER.PEER.REMOVE": "the same",
    "CONSUMER.PEER.EVACUATE": "the same",
    "CONSUMER.PAUSE": "from 2.11 on: tests/more/nats/nats_new_test.py",
    "CONSUMER.UNPIN": "the same",
    "CONSUMER.RESET": "from 2.14 on: tests/more/nats/nats_new_test.py",
}

WATCHED = "_INBOX.of.the.watcher"  # nobody's pattern but ">" matches it
DROP = {"created", "ts", "time", "first_ts", "last_ts", "cluster", "last_active", "timestamp", "bytes", "active", "lag"}
MOVING = {"delivered", "ack_floor", "num_ack_pending", "num_pending", "num_waiting", "num_redelivered", "push_bound"}


def matches(pattern, subject):
    p, s = pattern.split("."), subject.split(".")
    for i, token in enumerate(p):
        if token == ">":
            return len(s) > i
        if i >= len(s) or token not in ("*", s[i]):
            return False
    return len(p) == len(s)


def without_timing(value):
    """Of a stream that copies from others: the order of its sources is another each time (a map of the server's), whether
    one that is missing has been tried for already is timing, and so is what was copied when the creation is answered. Two
    servers with nothing between differ in all of these."""
    copies = [{k: v for k, v in x.items() if k != "error"} for x in value.get("sources") or []]
    value = {**value, "sources": sorted(copies, key=str)}
    if isinstance(value.get("mirror"), dict):
        value["mirror"] = {k: v for k, v in value["mirror"].items() if k != "error"}
    if "create_response" in value.get("type", "") or "update_response" in value.get("type", ""):
        value.pop("state", None)
    return value


def without_sourcing(value):
    """From 2.15 on lists show what a server makes for a stream that copies, in names of its own, whenever it is made."""
    kept = [c for c in value["consumers"] if not (c if isinstance(c, str) else c.get("name", "")).startswith("JS_SRC_")]
    return {**value, "consumers": kept, "total": value.get("total", 0) - len(value["consumers"]) + len(kept)}


def masked(value):
    if isinstance(value, dict):
        if isinstance(value.get("consumers"), list):
            value = without_sourcing(value)
        if isinstance(value.get("config"), dict) and ("mirror" in value or "sources" in value):
            value = without_timing(value)
        drop = DROP | (MOVING if "deliver_subject" in value.get("config", {}) else set())
        if "server_name" in value:
            return {}
        return {k: masked(v) for k, v in sorted(value.items()) if k not in drop}
    if isinstance(value, list):
        return [masked(v) for v in value]
    return value


def shown(m):
    """A message without what differs between any two servers."""
    reply = m.reply or ""
    if reply.startswith("$JS.ACK."):
        t = reply.split(".")
        at = 7 if len(t) == 9 else 9
        t[at] = "T"
        if at == 9:
            t[3] = "H"
            t[11:] = ["R"]
        reply = ".".join(t)
    headers = re.sub(r"(Nats-Time-Stamp:) .*", r"\1 T", m.headers.decode("latin-1"))
    headers = re.sub(r"(Nats-Stream-Source: \S+ \d+ \S+ \S+ \S+) \S+", r"\1", headers)
    text = m.payload.decode("latin-1")
    if text.startswith("{"):
        text = json.dumps(masked(json.loads(text)), sort_keys=True)
    return (m.subject, reply, headers, text)


class World:
    """CLIENTS connections to one place, and all they heard."""

    def __init__(self, addr):
        self.clients = [rawnats.Raw(addr, c) for c in CONNECTS]
        self.watcher = None  # made when needed: it asks about streams that copy
        self.addr = addr
        self.heard = [{} for _ in self.clients]  # (sid, subject) -> messages, in order
        self.errors = [[] for _ in self.clients]
        self.streams = {}  # name -> subjects
        self.direct = set()  # names of those that answer direct gets
        self.serial = 0
        self.wide = set()  # (client, sid) of subscriptions to everything
        for i, c in enumerate(self.clients):
            c.subscribe(f"_INBOX.c{i}.*", "9000")

    def close(self):
        for c in (*self.clients, *filter(None, [self.watcher])):
            c.close()

    def copied(self):
        """What the streams hold that copy from others."""
        names = [name for name in ("MIR", "SRC") if name in self.streams]
        if names and self.watcher is None:
            self.watcher = rawnats.Raw(self.addr)
            self.watcher.subscribe(WATCHED + ".*")
        for name in names:
            self.watcher.publish("$JS.API.STREAM.INFO." + name, b"", f"{WATCHED}.{name}")
        answers = {}
        while len(answers) < len(names):
            if isinstance(m := self.watcher.next(), rawnats.Message):
                answers[m.subject] = shown(m)[3]
        return answers

    def take(self, i, m):
        t = (m.reply or "").split(".")
        # What a mirror's or source's own consumer delivers goes to the server's subjects; ">" hears it there.
        inner = t[:2] == ["$JS", "ACK"] and t[3 if len(t) == 9 else 5] not in CONSUMERS
        if not inner and not m.subject.startswith(("$JS", WATCHED)):
            self.heard[i].setdefault((m.sid, m.subject), []).append(m)

    def collect(self):
        for i, c in enumerate(self.clients):
            c.said.clear()
            for m in c.drain():
                self.take(i, m)
            self.errors[i] += [line for line in c.said if line != b"PONG"]

    def transcript(self):
        return [({k: [shown(m) for m in v] for k, v in sorted(heard.items())}, sorted(set(errors)))  # 2.9 says some of them once or twice
                for heard, errors in zip(self.heard, self.errors)]

    def send(self, i, subject, payload=b"", headers=None, reply=None):
        reply = reply + " " if reply else ""
        if headers is None:
            head = f"PUB {subject} {reply}{len(payload)}\r\n".encode()
        else:
            block = f"NATS/1.0\r\n{headers}\r\n\r\n".encode()
            head = f"HPUB {subject} {reply}{len(block)} {len(block) + len(payload)}\r\n".encode() + block
        self.clients[i].send(head + payload + b"\r\n")

    def ask(self, i, subject, payload=b"", headers=None, until=lambda m: True):
        """A request whose last answer is there when this returns; all of its answers."""
        self.serial += 1
        inbox, got = f"_INBOX.c{i}.{self.serial}", []
        self.send(i, subject, payload, headers, inbox)
        while not got or not until(got[-1]):
            m = self.clients[i].next()
            if not isinstance(m, rawnats.Message):
                continue  # kept in .said
            # A pulled message comes under its stream's subject; no push consumer delivers to sid 9000.
            if m.sid == "9000" and (m.subject == inbox or (m.reply or "").startswith("$JS.ACK.")):
                got.append(m)
        for m in self.clients[i].messages:
            self.take(i, m)
        self.clients[i].messages = []
        self.errors[i] += [line for line in self.clients[i].said if line != b"PONG"]
        self.clients[i].said.clear()
        return got

    def api(self, i, verb, body=None):
        (answer,) = self.ask(i, "$JS.API." + verb, b"" if body is None else json.dumps(body).encode())
        return json.loads(answer.payload) if answer.payload else {}

    # operations; i is who does it

    def op_sub(self, i, sid, pattern, group):
        if pattern == ">":
            self.wide.add((i, sid))
        self.clients[i].send(f"SUB {pattern} {group + ' ' if group else ''}{sid}\r\n")

    def op_unsub(self, i, sid, limit):
        if (i, sid) in self.wide:
            limit = 0  # ">" hears requests to JetStream on a private server: they count, too
        self.clients[i].send(f"UNSUB {sid}{' %d' % limit if limit else ''}\r\n")

    def op_pub(self, i, subject, payload, headers, reply):
        if any(matches(p, subject) for subjects in self.streams.values() for p in subjects):
            self.ask(i, subject, payload, headers)
        else:
            self.send(i, subject, payload, headers, reply)

    def op_stream(self, i, verb, name, options):
        subjects = STREAMS[name]
        config = {"name": name, "storage": "memory", "retention": "limits", "num_replicas": 1, **options}
        if subjects == "mirror":
            config["mirror"] = {"name": "ORDERS", "filter_subject": options.get("description", "orders.1")}
        elif subjects == "sources":
            config["sources"] = [{"name": "ORDERS"}, {"name": "A", "filter_subject": "a"}]
        elif subjects is not None:
            config["subjects"] = subjects
        answer = self.api(i, f"STREAM.{verb}.{name}", config)
        if "error" not in answer:
            self.streams[name] = answer["config"].get("subjects", [])
            self.direct.discard(name)
            if answer["config"].get("allow_direct"):
                self.direct.add(name)

    def op_delete(self, i, name):
        if "error" not in self.api(i, "STREAM.DELETE." + name):
            self.streams.pop(name, None)
            self.direct.discard(name)

    def op_consumer(self, i, stream, name, body, old_way, where):
        config = {"ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant", "ack_wait": 3600 * 10**9, **body}
        if old_way:
            config["durable_name"] = name
            self.api(i, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
        else:
            config["name"] = config["durable_name"] = name
            self.api(i, f"CONSUMER.CREATE.{stream}.{name}{'.' + where if where else ''}", {"stream_name": stream, "config": config})

    def op_api(self, i, verb, body):
        self.api(i, verb, body)

    def op_pull(self, i, stream, consumer, batch, answer_with):
        """Without waiting: messages, or the status that says there are no more."""
        if self.api(i, f"CONSUMER.INFO.{stream}.{consumer}").get("config", {"deliver_subject": ""}).get("deliver_subject") is not None:
            return
        left = [batch]
        def is_last(m):
            if m.headers.startswith(b"NATS/1.0 "):
                return True
            left[0] -= 1
            return left[0] == 0
        got = self.ask(i, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
                       json.dumps({"batch": batch, "no_wait": True}).encode(), until=is_last)
        for m in got:
            if m.reply and answer_with:
                self.ask(i, m.reply, answer_with.encode())

    def op_direct(self, i, stream, rest, body):
        if stream in self.direct:  # 2.9 is silent about the others
            self.ask(i, f"$JS.API.DIRECT.GET.{stream}{rest}", b"" if body is None else json.dumps(body).encode())

    def do(self, op):
        getattr(self, "op_" + op[0])(*op[1:])
        self.collect()


def program(rng):
    """The next operation, for any world."""
    i, js = rng.randrange(CLIENTS), rng.randrange(CLIENTS)
    stream = rng.choice(["ORDERS", "ORDERS", "ORDERS", "A", "KV_x", *STREAMS])
    consumer = rng.choice(CONSUMERS)
    what = rng.random()
    if what < 0.14:
        return ("sub", i, rng.randint(1, 12), rng.choice(PATTERNS), rng.choice([None, None, f"q{rng.randrange(10**6)}"]))
    if what < 0.19:
        return ("unsub", i, rng.randint(1, 12), rng.choice([0, 0, 1, 3]))
    if what < 0.50:
        return ("pub", i, rng.choice(SUBJECTS), str(rng.randrange(10**6)).encode() * rng.choice([0, 1, 1, 50]),
                rng.choice(HEADERS), rng.choice([None, None, "a", "_INBOX.c0.own", "$SRV.PING"]))
    if what < 0.62:
        options = rng.choice([{}, {}, {"allow_direct": True}, {"max_msgs": 5}, {"allow_rollup_hdrs": True, "allow_direct": True},
                              {"description": "orders.2"}, {"max_msgs_per_subject": 1}, {"discard": "new", "max_msgs": 3},
                              {"metadata": {"k": "v"}}, {"retention": "workqueue"}, {"num_replicas": 9}, {"max_age": -1},
                              {"republish": {"src": "orders.>", "dest": "rep.>"}}])
        return ("stream", js, rng.choice(["CREATE", "CREATE", "CREATE", "UPDATE"]), stream, options)
    if what < 0.65:
        return ("delete", js, stream)
    if what < 0.74:
        body = {}
        where = rng.choice(FILTERS)
        if where:
            body["filter_subject"] = where
        if consumer == "P":
            body["deliver_subject"] = rng.choice(["push.1", "_INBOX.c0.push", "b"])
            if rng.random() < 0.3:
                body["deliver_group"] = "g"
        if rng.random() < 0.2:
            body["deliver_policy"] = rng.choice(["last", "new", "last_per_subject"])
        return ("consumer", js, stream, consumer, body, rng.random() < 0.4, rng.choice([where, where, "orders.2"]) if rng.random() < 0.7 else None)
    if what < 0.84:
        return ("pull", js, stream, rng.choice(CONSUMERS[:2]), rng.randint(1, 4), rng.choice([None, "+ACK", "-NAK", "+TERM", "+WPI"]))
    if what < 0.89:
        kind = rng.randrange(3)
        return ("direct", 0, stream, "." + rng.choice(SUBJECTS) if kind == 0 else "",
                None if kind == 0 else {"seq": rng.randint(1, 4)} if kind == 1 else {rng.choice(["last_by_subj", "next_by_subj"]): rng.choice(SUBJECTS)})
    return ("api", js, *rng.choice([
        ("STREAM.NAMES", None), ("STREAM.NAMES", {"subject": rng.choice(PATTERNS)}), ("STREAM.NAMES", {"offset": 1}),
        ("STREAM.LIST", None), ("STREAM.LIST", {"subject": rng.choice(PATTERNS)}), ("STREAM.INFO." + stream, None),
        ("STREAM.INFO." + stream, {"subjects_filter": rng.choice(PATTERNS)}), ("STREAM.INFO." + stream, {"deleted_details": True}),
        ("STREAM.PURGE." + stream, rng.choice([None, {"filter": rng.choice(PATTERNS)}, {"keep": 1}, {"seq": 2}])),
        ("STREAM.MSG.GET." + stream, rng.choice([{"seq": 1}, {"last_by_subj": rng.choice(SUBJECTS)}, {"seq": 1, "next_by_subj": rng.choice(PATTERNS)}, {}])),
        ("STREAM.MSG.DELETE." + stream, {"seq": rng.randint(1, 4)}),
        ("CONSUMER.NAMES." + stream, None), ("CONSUMER.LIST." + stream, None), (f"CONSUMER.INFO.{stream}.{consumer}", None),
        (f"CONSUMER.DELETE.{stream}.{consumer}", None),
        # On one server: why not.
        ("STREAM.LEADER.STEPDOWN." + stream, None), ("STREAM.PEER.REMOVE." + stream, {"peer": "x"}),
        (f"CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}", None)]))


class OnPaper(World):
    """No server: what would be asked. Everything is there, and answers nothing."""

    def __init__(self):
        self.asked = set()
        self.streams, self.direct = {name: [] for name in STREAMS}, set(STREAMS)

    def collect(self):
        pass

    def send(self, i, subject, payload=b"", headers=None, reply=None):
        pass

    def op_sub(self, *args):
        pass

    op_unsub = op_sub

    def ask(self, i, subject, payload=b"", headers=None, until=None):
        self.asked.add(subject)
        return [rawnats.Message(subject, "9000", None, b"", b"")]

    def api(self, i, verb, body=None):
        self.ask(i, "$JS.API." + verb)
        return {"error": {}, "config": {}}


class Table(unittest.TestCase):
    def test_every_row_of_the_api_is_asked_by_the_programs_or_elsewhere_for_a_reason(self):
        with open(os.path.join(real.ROOT, "proxy", "nats", "js_api.c")) as f:
            text = f.read()
        table = text[text.index("js_rows[] = {"):text.index("js_row_count")]
        rows = set(re.findall(r'^    \{(?:\.verb = )?"([A-Z_.]+)"', table, re.M))
        self.assertEqual(len(rows), len(re.findall(r"^    \{", table, re.M)))
        paper = OnPaper()
        for seed in range(FIRST_SEED, FIRST_SEED + 100):
            rng = random.Random(seed)
            for _ in range(OPS):
                paper.do(program(rng))
        asked = {row for row in rows for subject in paper.asked if (subject + ".").startswith(f"$JS.API.{row}.")}
        self.assertEqual(sorted(rows), sorted(asked | set(ELSEWHERE)))
        self.assertEqual([], sorted(asked & set(ELSEWHERE)))


class Differential(cases.Shared):
    use_etcd = False
    jetstream = True
    neighbours = ("a/child",)

    def settle(self, private, mine):
        """What arrives by itself (push consumers, mirrors) may take its time, but not differ."""
        def alike():
            for world in (private, mine):
                world.collect()
            return private.transcript() == mine.transcript() and private.copied() == mine.copied()
        try:
            real.wait_until(alike, "equal transcripts", 20)
        except real.StackError:
            for i, ((want, e1), (got, e2)) in enumerate(zip(private.transcript(), mine.transcript())):
                for key in sorted(want.keys() | got.keys()):
                    self.assertEqual(want.get(key), got.get(key), f"client {i}, sid and subject {key}")
                self.assertEqual(e1, e2, f"client {i}, what is not a message")
            self.assertEqual(private.copied(), mine.copied())
            raise

    def wipe(self, bus):
        c = rawnats.Raw(bus.addr)
        c.subscribe("_INBOX.w", "1")
        while True:
            c.publish("$JS.API.STREAM.NAMES", b"", "_INBOX.w")
            while not isinstance(m := c.next(), rawnats.Message):
                pass
            names = json.loads(m.payload)["streams"] or []
            if not names:
                break
            for name in names:
                c.publish("$JS.API.STREAM.DELETE." + name, b"", "_INBOX.w")
                while not isinstance(c.next(), rawnats.Message):
                    pass
        c.close()

    def run_one(self, seed):
        rng, noise = random.Random(seed), random.Random(seed + 1)
        worlds = [World(self.private.addr), World(self.a.nats)]
        noisy = [World(s.nats) for s in (self.b, *self.around)]
        trail, others = [], []
        try:
            for _ in range(OPS):
                op = program(rng)
                trail.append(op)
                for world in worlds:
                    world.do(op)
                self.settle(*worlds)
                for world in noisy:
                    others.append((world is noisy[0], program(noise)))
                    world.do(others[-1][1])
        except Exception:
            print("the program:\n" + "\n".join(map(repr, trail)) + "\nthe neighbours' last:\n" +
                  "\n".join(map(repr, others[-40:])))
            raise
        finally:
            for world in worlds + noisy:
                world.close()
            for bus in (self.private, self.nats):
                self.wipe(bus)

    def differs(self, seed):
        """A difference of behaviour comes again with the same program; one of timing (has a source already
        copied its first message when the stream's creation is answered?) does not."""
        for attempt in range(3):
            try:
                return self.run_one(seed)
            except (AssertionError, real.StackError, TimeoutError):
                if attempt == 2:
                    raise
                print(f"seed {seed} differs; the same program again", flush=True)

    def test_one_program_on_two_servers(self):
        self.private = self.stack.nats("private", extra=("-js", "-sd", self.stack.path("private-js")))
        chosen = os.environ.get("DIFFERENTIAL_SEED")
        seconds = float(os.environ.get("DIFFERENTIAL_S", "40"))
        fresh = time.time_ns() % 10**9 if os.environ.get("SEEDS") == "new" else FIRST_SEED
        end, seed, n = time.monotonic() + seconds, int(chosen or fresh), 0
        while n == 0 or (chosen is None and time.monotonic() < end):
            print(f"DIFFERENTIAL_SEED={seed}", flush=True)
            self.differs(seed)
            seed, n = seed + 1, n + 1
        print(f"{n} programs of {OPS} operations are equal")


if __name__ == "__main__":
    unittest.main(verbosity=2)
