# SPDX-License-Identifier: Apache-2.0
"""One random program of operations (etcd_program.py), against a private etcd and, through a sidecar,
against one that is shared with two noisy neighbours: the answers and the watched events are equal.

The program is made from a seed, which is printed; DIFFERENTIAL_SEED repeats one, DIFFERENTIAL_S says
for how many seconds (default 20, in CI 60), of which a sixth is for applications that bring
credentials of their own (`credentials: client`). etcd_client masks what differs between any two
stores (revisions and ids that the server chose). Compactions are done from outside, by the store's own
address. Every method that the sidecar serves is in the program.
"""

import os
import random
import re
import time
import unittest

import cases
import seeds
import stack as real
import wirepb
from etcd_program import OBSERVED, Program, Scenes, block

SECONDS = float(os.environ.get("DIFFERENTIAL_S", os.environ.get("DIFFERENTIAL_CI_S", "20")))
PACKAGES = {"Lock": "v3lockpb", "Election": "v3electionpb"}  # the others: etcdserverpb
EVENT = re.compile(r"events \{ (?:[^{}]|\{[^{}]*\})*\}")
TOKEN = re.compile(r'token "[^"]+"')
PAIR = re.compile(r"kvs \{ [^{}]*\}")
MASK_TTL = re.compile(r"(?<!granted)TTL \d+")
# The key of a lock or leader ends in its lease, as it is stored (4.4); the program's leases have one digit.
LOCK_KEY = re.compile(r"\b((?:lock|boss)[1-9]/)[0-9a-f]*([0-9a-f])\b")
LOCK_KEY_OF_THE_SERVERS = re.compile(r"\b(lock0/)[0-9a-f]+")
MASK_REV = re.compile(r'(?<=" rev )\d+')
CREATE_OF_PROGRESS = wirepb.pb((1, wirepb.pb((1, "progress")))).hex()
ASK_PROGRESS = wirepb.pb((3, b"")).hex()
UNKNOWN = re.compile(r'Unimplemented "unknown (method|service)')


def method_of(name):
    """"KV.Range" or "/etcdserverpb.KV/Range" of a program's line, as docs/etcd-rpcs.md writes it."""
    if name.startswith("/"):
        return name[1:]
    service, method = name.split(".")
    return f"{PACKAGES.get(service, 'etcdserverpb')}.{service}/{method}"


def served_methods():
    """{method: what happens} of docs/etcd-rpcs.md, which a unit test holds equal to the route table."""
    with open(os.path.join(real.ROOT, "docs", "etcd-rpcs.md")) as f:
        return dict(re.findall(r"^\| `([\w.]+/\w+)` \| [^|]* \| ([^|]+) \|", f.read(), re.M))


def masked(text):
    text = LOCK_KEY_OF_THE_SERVERS.sub(r"\1#", LOCK_KEY.sub(r"\1\2", text))
    return MASK_REV.sub("#", MASK_TTL.sub("TTL *", text))


class Side:
    """A client, the way to the store's revisions, and what its watches have shown."""

    def __init__(self, client, store):
        self.client, self.store = client, store
        self.revisions = []
        self.events = {}  # by watch, not yet compared
        self.given = {}  # (key | leader, name, lease): text
        self.progressed = 0  # the revision of the last answer to a progress request

    def note_revision(self):
        done = self.store.ask("raw /etcdserverpb.KV/Range 0a0178")  # key "x"; its header
        self.revisions.append(header_revision(bytes.fromhex(done.split()[1])))

    def fill(self, line):
        line = re.sub(r"\{r(\d+)\+(\d)\}", lambda m: str(self.revisions[int(m[1])] + int(m[2])), line)
        line = re.sub(r"\{key:(\w+):(\d)\}", lambda m: self.given.get(("key", m[1], m[2]), m[1] + "/0"), line)
        return re.sub(r"\{leader:(\w+):(\d)\}", lambda m: self.given.get(
            ("leader", m[1], m[2]), f'name "{m[1]}" key "{m[1]}/0" rev 1 lease {m[2]}'), line)

    def ask(self, line):
        answer = self.client.ask(self.fill(line))
        asked = re.match(r'call (?:Lock\.Lock|Election\.Campaign) name "(\w+)"(?:.* lease (\d))?', line)
        if asked and answer.startswith("OK"):
            name, lease = asked[1], asked[2] or "0"
            self.given["key", name, lease] = re.search(r' key "([^"]+)"', answer)[1]
            if leader := re.search(r"leader \{ (.*) \}", answer):
                self.given["leader", name, lease] = leader[1]
        return masked(answer)

    def take(self, got):
        """A watch's reply: its events, split up, because how many come at once is chance."""
        if not got.startswith("GOT"):
            raise AssertionError("the stream of watches ended: " + got)
        watch = watch_id(got)
        if watch == -1:  # progress
            return
        if "canceled" in got:
            raise AssertionError("a watch was canceled: " + got)
        self.events.setdefault(watch, []).extend(EVENT.findall(masked(got)))

    def until_created(self):
        """The id of the watch that was asked for, None if it could not be; others' events may come before."""
        while True:
            got = self.client.ask("recv watch")
            if "created 1" in got:
                return None if "canceled" in got else watch_id(got)
            self.take(got)

    def until_canceled(self, watch):
        while True:
            got = self.client.ask("recv watch")
            if "canceled 1" in got and watch_id(got) == watch:
                self.events.pop(watch, None)
                return masked(got)
            self.take(got)

    def until_observed(self, value):
        while f'value "{value}"' not in (got := self.client.ask("recv observe")):
            if not got.startswith("GOT"):
                raise AssertionError("the observer's stream ended: " + got)
        return masked(got)

    def cut(self, watch, fence):
        """The watch's events up to its fence, or None; what is behind it is for the next time."""
        events = self.events.get(watch, [])
        for i, event in enumerate(events):
            if f'value "{fence}"' in event:
                self.events[watch] = events[i + 1:]
                return events[:i + 1]
        return None

    def watched(self, fences):
        seen = {}
        for watch, fence in fences.items():
            while (events := self.cut(watch, fence)) is None:
                self.take(self.client.ask("recv watch"))
            seen[watch] = events
        return seen

    def until_put(self):
        """One event on the stream "progress": how many answers to progress requests came before it. etcd 3.4
        answers each, though perhaps behind a later event (its revision is read before it takes its turn with the
        events: only among themselves do answers never go back); later ones none while a watch lags behind."""
        answers = 0
        while True:
            got = self.client.ask("recv progress")
            reply = wirepb.read(bytes.fromhex(got.split()[1]))
            fields, header = dict(reply), dict(wirepb.read(dict(reply)[1]))
            if 11 in fields:
                assert {n for n, _ in reply} == {1, 11} and sum(n == 11 for n, _ in reply) == 1, got  # watch_id is 0
                return answers
            if fields.keys() != {1, 2} or fields[2] != (1 << 64) - 1 or header[3] < self.progressed:
                raise AssertionError(f"an answer to a progress request, after one of {self.progressed}: {got}")
            self.progressed = header[3]
            answers += 1

    def parts(self, stream):
        """All of a RangeStream's parts: their pairs, and what else they say."""
        pairs, rest = [], set()
        while (got := self.client.ask("recv " + stream)).startswith("GOT"):
            got = masked(got)
            pairs += PAIR.findall(got)
            rest |= set(re.findall(r"(?:more|count) \d+", PAIR.sub("", got)))
        return pairs, rest


def watch_id(got):
    match = re.search(r"\bwatch_id (-?\d+)", got)
    return int(match[1]) if match else 0


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def header_revision(data):
    """ResponseHeader is field 1 of every reply, its revision field 3."""
    assert data[0] == 0x0a
    n, at = varint(data, 1)
    end, revision = at + n, 0
    while at < end:
        tag, at = varint(data, at)
        value, at = varint(data, at)
        revision = value if tag == 3 << 3 else revision
    return revision


class Differential(cases.Shared):
    use_nats = False
    def prepare(self, clients, stores, noise):
        """The seed, and who works: on each side a client and a way around the sidecar."""
        self.seed = seeds.seed("DIFFERENTIAL_SEED")
        self.sides = [Side(c, s) for c, s in zip(clients, stores)]
        self.noise = noise
        self.log, self.methods, self.watches = [], set(), {}  # watches: id: a key in its range

    def each(self, line):
        """Asks both sides; their answers are not compared."""
        answers = [side.ask(line) for side in self.sides]
        self.log.append(line)
        self.note_method(line)
        return answers

    def both(self, line):
        answers = self.each(line)
        if "LeaseLeases" in line:
            answers = [sorted(re.findall(r"leases \{ ID \d+ \}", a)) for a in answers]
        if "TimeToLive" in line:  # etcd keeps a lease's keys in no order
            answers = [sorted(a.split(" keys ")) for a in answers]
        if "Authenticate" in line:
            answers = [TOKEN.sub("token #", a) for a in answers]
        if "MemberList" in line:  # of a member only that it is one: 4.3
            answers = [re.sub(r"members \{.*?\}", "member", a) for a in answers]
        if "AuthStatus" in line and answers[1].startswith("OK") and UNKNOWN.match(answers[0]):
            answers[0] = answers[1]  # 3.4 does not know it; the answer is the sidecar's
        if line == "status ranges" and UNKNOWN.match(answers[0]) and "key is not provided" in answers[1]:
            answers[1] = answers[0]  # the sidecar looks at the key before 3.4 can say that there is no such method
        self.compare(answers)
        return answers[0]

    def compare(self, answers):
        if answers[0] != answers[1]:
            self.fail(f"seed {self.seed}, operation {len(self.log)}:\n{self.log[-1]}\nprivate: {answers[0]}\n"
                      f"sidecar: {answers[1]}\nbefore it:\n" + "\n".join(self.log[-12:]))

    def note_method(self, line):
        verb, *words = line.split()
        if verb in ("call", "raw", "open"):
            self.methods.add(method_of(words[verb == "open"]))

    @staticmethod
    def names_in(answer, name):
        return re.findall(rf'key "{name}/([^"]*)"', answer)

    def parts(self, stream):
        self.compare([side.parts(stream) for side in self.sides])

    def observed(self, value):
        self.compare([side.until_observed(value) for side in self.sides])

    def watch(self):
        words, key = self.program.watch()
        for side in self.sides:
            side.client.ask("send watch create_request " + block(side.fill(words)))
        self.log.append("watch " + words)
        shown = [side.until_created() for side in self.sides]
        self.compare(shown)
        if shown[0] is not None:
            self.watches[shown[0]] = key

    def cancel_watch(self, watch):
        self.both(f"send watch cancel_request {{ watch_id {watch} }}")
        if self.watches.pop(watch, None) is not None:
            self.compare([side.until_canceled(watch) for side in self.sides])

    def open_watches(self):
        self.watches = {}
        self.both("open watch Watch.Watch")
        for _ in range(6):
            self.watch()

    def open_progress(self):
        """A stream of its own, as bytes: the client's text is without the headers."""
        self.both("open progress /etcdserverpb.Watch/Watch")
        self.both("send progress " + CREATE_OF_PROGRESS)
        for side in self.sides:
            created = dict(wirepb.read(bytes.fromhex(side.client.ask("recv progress").split()[1])))
            self.assertEqual({1, 3}, created.keys())

    def progress(self):
        answers = [0, 0]
        for n in range(100):
            self.both("send progress " + ASK_PROGRESS)
            self.both(f'call KV.Put key "progress" value "{n}"')
            answers = [a + side.until_put() for a, side in zip(answers, self.sides)]
            if all(answers):
                return
        self.fail(f"seed {self.seed}: progress requests answered: {answers}")

    def check_watches(self, n):
        fences = {watch: f"fence {n} of {watch}" for watch in self.watches}
        for watch, key in self.watches.items():
            self.both(f'call KV.Put key "{key}" value "{fences[watch]}"')
        seen = [side.watched(fences) for side in self.sides]
        for watch in fences:
            self.assertEqual(seen[0][watch], seen[1][watch], f"seed {self.seed}, watch {watch}")

    def make_noise(self, program, is_first):
        for client in self.noise:
            if not is_first:
                client.answer()
            line = program.line()
            while "{r" in line:
                line = program.line()
            client.tell(line)

    def compact(self):
        """Someone compacts each store."""
        at = self.program.readable[len(self.program.readable) // 2]
        for side in self.sides:
            self.assertEqual("OK", side.store.ask(f"call KV.Compact revision {side.revisions[at]}"))
        self.both("call KV.Range key \"a\" revision {r0+0}")  # compacted in both
        self.program.readable = [r for r in self.program.readable if r >= at]

    def begin(self):
        for side in self.sides:
            side.note_revision()
        self.both("open alive Lease.LeaseKeepAlive")
        self.both("open observe Election.Observe")
        self.both(f'send observe name "{OBSERVED}"')
        self.both("half observe")
        self.open_progress()
        self.open_watches()

    def settle(self, step):
        """After each operation: what is now the revision, and whether the watches agree."""
        for side in self.sides:
            side.note_revision()
        if self.sides[0].revisions[-1] != self.sides[0].revisions[-2]:
            self.program.readable.append(len(self.sides[0].revisions) - 1)
        if step % 50 == 0:
            self.check_watches(step)
        if step % 200 == 0:
            self.compact()
        if step % 400 == 0:
            self.both("cancel watch")
            for side in self.sides:
                side.client.ask("status watch")
                side.events = {}
            self.open_watches()

    def run_for(self, seconds, neighbour):
        self.begin()
        self.make_noise(neighbour, True)
        scenes = Scenes(self.program, self)
        end, step, first = time.monotonic() + seconds, 0, list(scenes.all)
        while time.monotonic() < end or first:
            step += 1
            if step % 8 == 0 and first:  # each at least once, however short the time
                first.pop()()
            elif self.program.rng.random() < 0.12:
                scenes.any()
            else:
                self.both(self.program.line())
            self.make_noise(neighbour, False)
            self.settle(step)
        self.check_watches(step)
        for client in self.noise:
            client.answer()
        print("operations", len(self.log), flush=True)
        served = {m for m, what in served_methods().items() if what != "denied"}
        self.assertGreater(len(served), 20)
        self.assertEqual(set(), served - self.methods, "methods that no program calls")


class OfOneNamespace(Differential):
    def test_histories_are_equal(self):
        private = self.stack.etcd("private")
        # The sidecar under test is between a parent and a child that use the same keys.
        noise = [self.stack.etcd_client(self.sidecar(n).etcd) for n in ("a/child", "default")]
        self.prepare([self.stack.etcd_client(addr) for addr in (private.addr, self.a.etcd)],
                     [self.stack.etcd_client(addr) for addr in (private.addr, self.etcd.addr)], noise)
        self.program = Program(random.Random(self.seed))
        self.run_for(SECONDS * 5 / 6, Program(random.Random(self.seed + 1)))
        self.assertGreater(len(self.log), 200)


class Raw:
    """What neighbours do to the store, as it is stored. Their leases have no keys: from 3.4.42, 3.5.28 and
    3.6.9 on etcd lists no leases to a user who may not read every key of every one."""

    def __init__(self, rng):
        self.rng = rng

    def line(self):
        if self.rng.random() < 0.1:
            return f"call Lease.LeaseGrant TTL 6000 ID {self.rng.randint(1, 40)}"
        key = self.rng.choice(("bh/d/a/child.", "bh/d.", "bh/d/b.")) + self.rng.choice(["a", "a/b", "b", "lock1/1"])
        return f'call KV.{self.rng.choice(["Put", "Put", "DeleteRange"])} key "{key}"'


class OfAUser(Differential):
    """Both stores authenticate; the application's own user may use all keys of the one, of the other its
    namespace's."""

    def administer(self, store, *words):
        done = real.etcdctl(store.url, *words)
        self.assertEqual(0, done.returncode, done.stderr)

    def switch_on(self, store, interval):
        for line in ("user add root:r", "user grant-role root root", "user add u:p", "role add mine",
                     "user grant-role u mine"):
            self.administer(store, *line.split())
        self.administer(store, "role", "grant-permission", "mine", "readwrite", *interval)
        self.administer(store, "auth", "enable")
        self.addCleanup(self.administer, store, "--user", "root:r", "auth", "disable")

    def client(self, addr, name, password):
        client = self.stack.etcd_client(addr)
        token = TOKEN.search(client.ask(f'call Auth.Authenticate name "{name}" password "{password}"'))
        self.assertEqual("OK", client.ask("metadata token " + token[0].split('"')[1]))
        return client

    def test_histories_are_equal(self):
        private = self.stack.etcd("private")
        sidecar = self.sidecar("a", args=("--credentials", "client"))
        self.assertEqual(0, real.etcdctl(sidecar.etcd_url, "get", "a").returncode)  # it has registered
        self.switch_on(private, ["--prefix=true", ""])
        self.switch_on(self.etcd, ["bh/d/a.", "bh/d/a/"])
        self.prepare([self.client(addr, "u", "p") for addr in (private.addr, sidecar.etcd)],
                     [self.client(addr, "root", "r") for addr in (private.addr, self.etcd.addr)],
                     [self.client(self.etcd.addr, "root", "r") for _ in range(2)])
        self.program = Program(random.Random(self.seed))
        self.run_for(SECONDS / 6, Raw(random.Random(self.seed + 1)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
