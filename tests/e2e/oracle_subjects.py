# SPDX-License-Identifier: Apache-2.0
"""The slow model of subjects (design.md 5.2): who hears what, in which queue group; and a random program
over a real server and the sidecars of a tree, compared with it message by message. Regular expressions
and enumeration only."""

import itertools
import re

import oracle_tree as trees
import rawnats

SUBJECTS = ("namespace.x", "namespace.x.y", "namespace.g-0123456789ab", "plain", "plain.x", "_INBOX.c.1", "_INBOX.c",
            "b.gen-0123456789abcdef", "b.gen-0123abc", "b.gen-0123456789abcdef.x", "$SRV.PING", "$SRV.INFO.s", "$KV.b.k",
            "bh.d.~.~.~.~.$SRV.PING")
FILTERS = (">", "*", "*.*", "*.>", "namespace.>", "namespace.*", "namespace.*.y", "_INBOX.>", "_INBOX.c.*",
                      "_INBOX.*", "$SRV.>", "$SRV.*", "b.*", "b.>", "bh.>", "bh.*.*.*.*.*.>", "bh.e.*.*.*.*.plain", "bh.d.>")

# What most of a program is about, so that much is heard.
USUAL = ("namespace.x", "namespace.g-0123456789ab", "plain", "_INBOX.c.1", "b.gen-0123456789abcdef", "$SRV.PING")
USUAL_FILTERS = USUAL + ("namespace.>", "_INBOX.c.*", "$SRV.*", "b.*", ">", "*.*")


def raw_forms(namespace):
    """A namespace's stored subjects, as an application may write them."""
    for form in ("bh.e.{}.plain", "bh.e.{}.namespace.x", "bh.d.{}.b.gen-0123456789abcdef", "bh.j.{}._INBOX.c"):
        yield form.format(trees.tokens(namespace))
    yield f"bh.r.{trees.stream_prefix(namespace)}.N.1.1"


# ---- the model ----


def regex(pattern):
    out = []
    for token in pattern.split("."):
        if token == ">":
            out.append(r".+")
        elif token == "*":
            out.append(r"[^.]+")
        else:
            out.append("".join({"*": "[^.]*", "<hex>": "[0-9a-f]{8,16}"}.get(part, re.escape(part))
                               for part in re.split(r"(\*|<hex>)", token)))
    return re.compile(r"\.".join(out) + r"\Z")


COMPILED = {}


def matches(pattern, subject):
    if pattern not in COMPILED:
        COMPILED[pattern] = regex(pattern)
    return COMPILED[pattern].match(subject) is not None


WORDS = ("namespace", "_INBOX", "$SRV", "x", "c", "b", "plain", "g-0123456789ab", "something-else")
UNIVERSE = SUBJECTS + tuple(".".join(t) for n in (1, 2, 3) for t in itertools.product(WORDS, repeat=n)) + \
    ("namespace.x.c.b", "_INBOX.x.c.b", "_INBOX.c.b.x", "$SRV.x.c.b", "b.x.c.b", "x.c.b.x", "b.something-else.c.x")


def inside(filter_, pattern, cache={}):
    """Is every subject that the filter matches matched by the pattern? Tried one by one."""
    if (filter_, pattern) not in cache:
        cache[filter_, pattern] = all(matches(pattern, s) for s in (*UNIVERSE, filter_) if matches(filter_, s))
    return cache[filter_, pattern]


def is_request(tree, subject):
    return any(matches(p, subject) for p in tree.requests)


def is_wild(filter_):
    return any(t in ("*", ">") for t in filter_.split("."))


class Sub:
    def __init__(self, tree, client, sid, filter_, group):
        self.tree = tree
        self.client, self.sid, self.filter, self.group = client, sid, filter_, group
        self.left = None  # of a maximum
        self.count = 0

    def hears(self, publisher, subject):
        """(the group's name among all that hear the message) or None."""
        n, m = self.client.namespace, publisher.namespace
        if not matches(self.filter, subject) or self.left == 0:
            return None
        if is_request(self.tree, subject) and publisher.view == "subtree":  # goes down
            if m == n or (trees.is_above(m, n) and not is_wild(self.filter)):
                return ("d", self.group)
            return None
        if m == n:
            return ("e", n, self.group)
        seen = self.client.view == "subtree" and any(inside(self.filter, p) for p in self.tree.events)
        if not is_wild(self.filter) and is_request(self.tree, self.filter):
            seen = False
        return ("e", n, self.group) if seen and trees.is_above(n, m) else None


class Client:
    def __init__(self, number, namespace, view, raw):
        self.number, self.namespace, self.view, self.raw = number, namespace, view, raw
        self.subs = {}
        self.got = []

    def name(self):
        return f"client {self.number} in {trees.name(self.namespace)} ({self.view})"


class Program:
    def __init__(self, test, tree, random, sidecars):
        self.test, self.tree, self.random = test, tree, random
        self.heard = self.silent = 0
        raw = tuple(f for n in random.sample(tree.namespaces, 3) for f in raw_forms(n))
        self.subjects, self.filters = SUBJECTS + raw, SUBJECTS + raw + FILTERS
        self.log = []
        self.has_maximum = False
        self.clients = []
        self.sid = 0
        for i, (place, sidecar) in enumerate(sidecars):
            for _ in range(2 if i % 2 else 1):
                self.clients.append(Client(len(self.clients), place.namespace, place.view, rawnats.Raw(sidecar.nats)))

    def close(self):
        for c in self.clients:
            c.raw.close()

    def counts(self):
        return {"messages": self.heard, "no responders": self.silent}

    def fail(self, text):
        self.test.fail(f"{text}\n{self.tree}\n" + "\n".join(self.log[-400:]))

    def subscribe(self):
        c = self.random.choice(self.clients)
        self.sid += 1
        group = self.random.choice((None, None, "q", "q2"))
        filter_ = self.random.choice(USUAL_FILTERS if self.random.random() < 0.7 else self.filters)
        sub = Sub(self.tree, c, str(self.sid), filter_, group)
        c.raw.subscribe(sub.filter, sub.sid, group)
        c.subs[sub.sid] = sub
        self.log.append(f"{c.name()}: SUB {sub.filter} {group or ''} {sub.sid}")

    def unsubscribe(self):
        c = self.random.choice(self.clients)
        if not c.subs:
            return
        sub = self.random.choice(list(c.subs.values()))
        if sub.left is None and sub.group is None and self.random.random() < 0.5:
            self.has_maximum = True  # from here on the server may count one more responder than the model
            maximum = sub.count + self.random.randint(1, 4)
            sub.left = maximum - sub.count
            c.raw.send(f"UNSUB {sub.sid} {maximum}\r\n")
            self.log.append(f"{c.name()}: UNSUB {sub.sid} {maximum}")
        else:
            del c.subs[sub.sid]
            c.raw.send(f"UNSUB {sub.sid}\r\n")
            self.log.append(f"{c.name()}: UNSUB {sub.sid}")
        c.raw.flush()

    def collect(self):
        """Everything heard until now, by client."""
        for c in self.clients:
            c.raw.send("PING\r\n")
        for c in self.clients:
            c.raw.until(b"PONG")
            c.got, c.raw.messages = c.raw.messages, []

    def publish(self, number):
        """One client says a few things at once; then everybody is asked what was heard, in which order."""
        c = self.random.choice(self.clients)
        said = []
        for i in range(self.random.randint(1, 8)):
            subject = self.random.choice(USUAL if self.random.random() < 0.7 else self.subjects)
            reply = self.random.choice((None, None, "_INBOX.c.1", "plain.r", "b.gen-0123456789abcdef", "namespace.r"))
            said.append((subject, reply, f"{number}.{i}".encode()))
            self.log.append(f"{c.name()}: PUB {subject} {reply or ''} {number}.{i}")
            c.raw.publish(subject, said[-1][2], reply)
        c.raw.flush()
        self.collect()
        for message in said:
            self.judge(c, *message)
        for other in self.clients:
            if other.got:
                self.fail(f"{other.name()} heard {other.got[:5]} and must not, or not in this order")

    def take(self, client, wanted):
        """Removes from what a client heard the next messages if wanted(message); those of one publisher
        stand in its order."""
        taken = [m for m in client.got if wanted(m)]
        client.got = [m for m in client.got if not wanted(m)]
        return taken

    def judge(self, publisher, subject, reply, payload):
        alone, groups, ended = [], {}, False
        for other in self.clients:
            for sub in other.subs.values():
                # A subscription that has ended with its maximum may still stand at the server.
                ended = ended or (sub.left == 0 and matches(sub.filter, subject))
                group = sub.hears(publisher, subject)
                if group is None:
                    continue
                if sub.group is None:
                    alone.append(sub)
                else:
                    groups.setdefault(group, []).append(sub)
        heard = {}
        for c in self.clients:
            # In order: what was published before this has been taken, what is behind it has not.
            if c.got and any(m.payload == payload for m in c.got):
                first = min(i for i, m in enumerate(c.got) if m.payload == payload)
                if any(not m.headers for m in c.got[:first]):
                    self.fail(f"{c.name()} heard {c.got[0]} before {payload}")
            for m in self.take(c, lambda m: m.payload == payload):
                if (m.subject, m.reply) != (subject, reply):
                    self.fail(f"{c.name()} heard {m}, not {subject} {reply} {payload}")
                heard[c, m.sid] = heard.get((c, m.sid), 0) + 1
        for sub in alone:
            if heard.pop((sub.client, sub.sid), 0) != 1:
                self.fail(f"{sub.client.name()} did not hear {payload} once on {sub.sid}")
            sub.count += 1
            if sub.left is not None:
                sub.left -= 1
        for group, members in groups.items():
            got = [s for s in members if heard.get((s.client, s.sid))]
            if len(got) != 1 or heard.pop((got[0].client, got[0].sid)) != 1:
                self.fail(f"of group {group} {[(s.client.number, s.sid) for s in got]} heard {payload}, not one")
            got[0].count += 1
            self.heard += 1
        self.heard += len(alone)
        if heard:
            self.fail(f"{[(c.name(), sid, n) for (c, sid), n in heard.items()]} heard {payload} and must not")
        self.judge_no_responders(publisher, reply, alone or groups, ended)

    def judge_no_responders(self, publisher, reply, answered, ended):
        # The server tells one plain subscription of the requester's, never a group.
        ears = {s.sid for s in publisher.subs.values()
                if reply and matches(s.filter, reply) and s.left != 0 and s.group is None}
        if answered or not ears:
            return
        said = [i for i, m in enumerate(publisher.got) if b"503" in m.headers and m.subject == reply]
        if not said and not ended and not self.has_maximum:
            self.fail(f"nobody hears {reply}'s request, and that is not said")
        if not said:
            return
        m = publisher.got.pop(said[0])
        if m.sid not in ears:
            self.fail(f"no responders on {m.sid}, not one of {ears}")
        self.silent += 1  # it counts for no maximum

    def run(self, steps):
        for number in range(steps):
            dice = self.random.random()
            if dice < 0.40:
                self.subscribe()
            elif dice < 0.50:
                self.unsubscribe()
            else:
                self.publish(number)
