# SPDX-License-Identifier: Apache-2.0
"""One random program of operations, against a private etcd and, through a sidecar, against one that
is shared with two noisy neighbours: the answers and the watched events are equal.

The program is made from a seed, which is printed; DIFFERENTIAL_SEED repeats one, DIFFERENTIAL_S says
for how many seconds (default 60, under sanitizers 30). etcd_client masks what differs between any two stores (revisions
and ids that the server chose). A revision in the program is symbolic: "after operation j", which is
another number in each store. Compactions are done from outside, by the store's own address.
"""

import os
import random
import re
import time
import unittest

import cases
import stack as real

KEYS = ["a", "a/", "a/b", "a/b/c", "a0", "ab", "b", "b.", ".", "/", "0", "bh/d/b.a", "bh/m/v",
        r"\x00", r"\x00\x00", r"\xff", r"\xff\xff", "long" * 20]
ENDS = KEYS + [r"\x00", "c", "zzz"]  # not "": policy_test says why
ENDS_OPEN = r"\x00"
LEASES = range(1, 6)
EVENT = re.compile(r"events \{ (?:[^{}]|\{[^{}]*\})*\}")
MASK_TTL = re.compile(r"(?<!granted)TTL \d+")


def block(text):
    return "{ " + text + " }"


class Program:
    """Lines for etcd_client; {rN} stands for the store's revision after operation N."""

    def __init__(self, rng):
        self.rng = rng
        self.readable = [0]  # operations whose revision is not compacted in either store

    def key(self):
        return self.rng.choice(KEYS) if self.rng.random() > 0.03 else ""

    def revision(self, plus=0):
        at = self.rng.choice(self.readable)
        return "{r%d+%d}" % (at, plus)

    def range(self, in_write=False):
        r, words = self.rng, [f'key "{self.key()}"']
        if r.random() < 0.6:
            words.append(f'range_end "{r.choice(ENDS)}"')
        if r.random() < 0.3:
            words.append(f"limit {r.randint(1, 4)}")
        if r.random() < 0.3:
            words.append(f"sort_order {r.choice(['NONE', 'ASCEND', 'DESCEND'])}")
            words.append(f"sort_target {r.choice(['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'])}")
        for word, chance in (("keys_only 1", 0.1), ("count_only 1", 0.1), ("serializable 1", 0.1)):
            if r.random() < chance:
                words.append(word)
        if r.random() < 0.1:
            words.append("min_mod_revision " + self.revision(1))
        if r.random() < 0.1:
            words.append("max_create_revision " + self.revision())
        if not in_write and r.random() < 0.2:
            words.append("revision " + self.revision())
        return " ".join(words)

    def put(self):
        r, words = self.rng, [f'key "{self.key()}"']
        if r.random() < 0.1:
            words.append("ignore_value 1")
        else:
            words.append(f'value "{r.choice("xyz") * r.randint(0, 9)}"')
        if r.random() < 0.3:
            words.append(f"lease {r.choice(LEASES)}")
        if r.random() < 0.3:
            words.append("prev_kv 1")
        return " ".join(words)

    def delete(self, in_txn=False):
        words = [f'key "{self.key()}"']
        if self.rng.random() < 0.3:
            end = self.rng.choice(ENDS)
            # etcd does not see that "to the end" overlaps a put of the same Txn, and takes both. In a
            # slice the end is a key, so it does see it: "duplicate key given in txn request".
            words.append(f'range_end "{"zzz" if in_txn and end == ENDS_OPEN else end}"')
        if self.rng.random() < 0.5:
            words.append("prev_kv 1")
        return " ".join(words)

    def compare(self):
        r = self.rng
        words = [f"result {r.choice(['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'])}"]
        kind = r.choice(["VERSION", "CREATE", "MOD", "VALUE", "LEASE"])
        words.append(f'target {kind} key "{self.key()}"')
        words.append({"VERSION": f"version {r.randint(0, 3)}", "VALUE": f'value "{r.choice("xyz") * 3}"',
                      "LEASE": f"lease {r.choice([0, 1, 2])}"}.get(kind) or
                     ("create_revision " if kind == "CREATE" else "mod_revision ") + self.revision())
        if kind in ("CREATE", "MOD"):  # between two operations: equality would depend on the neighbours
            words[0] = f"result {r.choice(['GREATER', 'LESS'])}"
            words[-1] = words[-1].replace("+0}", "+1}") if words[0] == "result LESS" else words[-1]
        if r.random() < 0.2:
            words.append(f'range_end "{r.choice(ENDS)}"')
        return " ".join(words)

    def op(self, depth):
        r = self.rng.random()
        if r < 0.4:
            return "request_put " + block(self.put())
        if r < 0.7:
            return "request_range " + block(self.range(in_write=True))
        if r < 0.85 or depth == 0:
            return "request_delete_range " + block(self.delete(in_txn=True))
        return "request_txn " + block(self.txn(depth - 1))

    def txn(self, depth=3):
        r, parts = self.rng, []
        parts += ["compare " + block(self.compare()) for _ in range(r.randint(0, 2))]
        for branch in ("success", "failure"):
            parts += [f"{branch} " + block(self.op(depth)) for _ in range(r.randint(0, 3))]
        return " ".join(parts)

    def line(self):
        r = self.rng.random()
        if r < 0.3:
            return "call KV.Range " + self.range()
        if r < 0.55:
            return "call KV.Put " + self.put()
        if r < 0.63:
            return "call KV.DeleteRange " + self.delete()
        if r < 0.83:
            return "call KV.Txn " + self.txn()
        lease = self.rng.choice(LEASES)
        return self.rng.choice([
            f"call Lease.LeaseGrant TTL 6000 ID {lease}", f"call Lease.LeaseGrant TTL 6000 ID {lease}",
            f"call Lease.LeaseRevoke ID {lease}", f"call Lease.LeaseTimeToLive ID {lease} keys 1",
            "call Lease.LeaseLeases ", f"send alive ID {lease}"])


class Side:
    """A client, the way to the store's revisions, and what its watches have shown."""

    def __init__(self, client, store):
        self.client, self.store = client, store
        self.revisions = []
        self.events = {}  # by watch, not yet compared

    def note_revision(self):
        done = self.store.ask("raw /etcdserverpb.KV/Range 0a0178")  # key "x"; its header
        self.revisions.append(header_revision(bytes.fromhex(done.split()[1])))

    def fill(self, line):
        return re.sub(r"\{r(\d+)\+(\d)\}", lambda m: str(self.revisions[int(m[1])] + int(m[2])), line)

    def ask(self, line):
        answer = self.client.ask(self.fill(line))
        return MASK_TTL.sub("TTL *", answer)

    def take(self, got):
        """A watch's reply: its events, split up, because how many come at once is chance."""
        if not got.startswith("GOT"):
            raise AssertionError("the stream of watches ended: " + got)
        match = re.search(r"\bwatch_id (-?\d+)", got)
        watch = int(match[1]) if match else 0
        self.events.setdefault(watch, []).extend(EVENT.findall(got))

    def until_created(self):
        """The id of the watch that was asked for, None if it could not be; others' events may come before."""
        while True:
            got = self.client.ask("recv watch")
            if "created 1" in got:
                match = re.search(r"\bwatch_id (-?\d+)", got)
                return None if "canceled" in got else int(match[1]) if match else 0
            self.take(got)

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

    def setUp(self):
        self.private = self.stack.etcd("private")
        # The sidecar under test is between a parent and a child that use the same keys.
        child, parent = self.sidecar("a/child"), self.sidecar("default")
        self.noise = [self.stack.etcd_client(s.etcd) for s in (child, parent)]
        self.sides = [Side(self.stack.etcd_client(self.private.addr), self.stack.etcd_client(self.private.addr)),
                      Side(self.stack.etcd_client(self.a.etcd), self.stack.etcd_client(self.etcd.addr))]

    def both(self, line):
        answers = [side.ask(line) for side in self.sides]
        if "LeaseLeases" in line:
            answers = [sorted(re.findall(r"leases \{ ID \d+ \}", a)) for a in answers]
        if "TimeToLive" in line:  # etcd keeps a lease's keys in no order
            answers = [sorted(a.split(" keys ")) for a in answers]
        self.log.append(line)
        if answers[0] != answers[1]:
            self.fail(f"seed {self.seed}, operation {len(self.log)}:\n{line}\nprivate: {answers[0]}\n"
                      f"sidecar: {answers[1]}\nbefore it:\n" + "\n".join(self.log[-12:]))
        return answers[0]

    def open_watches(self, rng, program):
        self.watches = {}  # id: a key in its range
        self.both("open watch Watch.Watch")
        for _ in range(6):
            words = [f'key "{rng.choice(KEYS)}"']
            fence = words[0][5:-1]
            if rng.random() < 0.5:
                words.append(r'range_end "\x00"')
            for word, chance in (("prev_kv 1", 0.5), ("fragment 1", 0.3), ("filters NODELETE", 0.3),
                                 ("progress_notify 1", 0.2), ("start_revision " + program.revision(1), 0.4)):
                if rng.random() < chance:
                    words.append(word)
            if rng.random() < 0.3:
                words.append(f"watch_id {rng.randint(20, 1000)}")
            for side in self.sides:
                side.client.ask("send watch create_request " + block(side.fill(" ".join(words))))
            shown = [side.until_created() for side in self.sides]
            self.assertEqual(shown[0], shown[1], f"seed {self.seed}")
            if shown[0] is not None:
                self.watches[shown[0]] = fence

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
            while "{r" in line or line.startswith("send"):
                line = program.line()
            client.tell(line)

    def test_histories_are_equal(self):
        self.seed = int(os.environ.get("DIFFERENTIAL_SEED", str(random.SystemRandom().randrange(1 << 32))))
        print("seed", self.seed, flush=True)
        rng = random.Random(self.seed)
        program, neighbour = Program(rng), Program(random.Random(self.seed + 1))
        end = time.monotonic() + float(os.environ.get("DIFFERENTIAL_S", os.environ.get("DIFFERENTIAL_CI_S", "20")))
        self.log = []
        for side in self.sides:
            side.note_revision()
        self.both("open alive Lease.LeaseKeepAlive")
        self.make_noise(neighbour, True)
        self.open_watches(rng, program)
        step = 0
        while time.monotonic() < end:
            step += 1
            line = program.line()
            self.both(line)
            if line.startswith("send alive"):
                self.both("recv alive")
            self.make_noise(neighbour, False)
            for side in self.sides:
                side.note_revision()
            if self.sides[0].revisions[-1] != self.sides[0].revisions[-2]:
                program.readable.append(len(self.sides[0].revisions) - 1)
            if step % 50 == 0:
                self.check_watches(step)
            if step % 200 == 0:  # someone compacts each store
                at = program.readable[len(program.readable) // 2]
                for side in self.sides:
                    self.assertEqual("OK", side.store.ask(f"call KV.Compact revision {side.revisions[at]}"))
                self.both("call KV.Range key \"a\" revision {r0+0}")  # compacted in both
                program.readable = [r for r in program.readable if r >= at]
            if step % 400 == 0:
                self.both("cancel watch")
                for side in self.sides:
                    side.client.ask("status watch")
                    side.events = {}
                self.open_watches(rng, program)
        for client in self.noise:
            client.answer()
        print("operations", len(self.log), flush=True)
        self.assertGreater(len(self.log), 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
