# SPDX-License-Identifier: Apache-2.0
"""For every ordered pair of namespaces, in both views: every call of etcd's catalogue, raw layout names,
leases and locks of others and malformed messages included. Nothing is seen but a descendant's keys in a
listed prefix, by a read that lies in it; and whatever anybody tries, the raw store holds of everybody
else, byte for byte, what it held before.

Every pair tries every call; of the forms of each call a pair takes every STRIDE-th, and the pairs together
all of them. REDTEAM_STRIDE=1: all forms for each pair.
"""

import os
import random
import re
import unittest

import seeds
import stack as real
from wirepb import pb, read, varint

NAMESPACES = ("default", "a", "ab", "a-b", "a0", "a/b", "a/c", "a/b/c", "z")
VIEWS = ("subtree", "own")
VALUE = re.compile(rb"<([a-z0-9/-]+)> (?:models|secret|instances)")  # whose value; a key says nothing: anybody may write it
KEY = re.compile(rb"<([a-z0-9/-]+)>")  # where nobody wrote another's
FENCE = "~fence"
STRIDE = int(os.environ.get("REDTEAM_STRIDE", "10"))


def above(a, b):
    return a != b and (a == "default" or b.startswith(a + "/"))


def slice_of(namespace):
    return "bh/d" + ("" if namespace == "default" else "/" + namespace) + "."


def intervals(victim):
    """(key, range end, lies in a listed prefix): a victim's stored names and what applications call them."""
    raw = slice_of(victim)
    yield "models/", "models0", True
    yield f"models/<{victim}>", None, True
    yield "models/same", None, True
    yield "models", "modelt", True
    yield "instances/", "instances0", True
    yield "models/same", "", True  # a range end that is there but empty is none
    yield "models/zz", "models/a", True  # nothing lies in it
    for key, end in (("\0", "\0"), ("models/", "\0"), ("m", "n"), ("model", "models0"), ("models/", "modelt\0"), ("models/", "n"),
                     ("instances/", "models0"), ("secret/", "secret0"), (f"secret/<{victim}>", None), ("/", "0"), (".", "/"),
                     (raw, raw[:-1] + "/"), (raw + "models/", raw + "models0"), (raw + f"models/<{victim}>", None), ("bh/", "bh0"),
                     ("bh/m/n/", "bh/m/n0"), ("/" + victim + ".models/", "/" + victim + ".models0"), ("./" + victim, "0"),
                     ("../" + victim + ".", "\xff"), ("\xff", "\0"), ("models/\xff", "\0")):
        yield key, end, False


def interval(key, end):
    return [(1, key)] + ([] if end is None else [(2, end)])


OPTIONS = ((), ((3, 1),), ((3, -1),), ((4, 1),), ((4, 1 << 40),), ((4, -1),), ((5, 2),), ((5, 2), (6, 4), (3, 2)), ((6, 1),), ((5, 9),), ((7, 1),),
           ((8, 1),), ((9, 1),), ((10, 3),), ((11, 1 << 40),), ((12, 3),), ((13, 1 << 40),), ((3, 1 << 62),))


def share(forms, pair):
    """A pair's part of all forms."""
    return [form for i, form in enumerate(forms) if (i + pair) % STRIDE == 0]


WATCH_OPTIONS = ("", " start_revision 1", " start_revision 3 prev_kv 1 fragment 1", " prev_kv 1 progress_notify 1 filters NODELETE")


def ranges(victim):
    for i, (key, end, seen) in enumerate(intervals(victim)):
        for options in OPTIONS if i < 4 else OPTIONS[:3] + OPTIONS[8:9]:
            yield pb(*interval(key, end), *options), seen
    # Two keys, fields that nobody knows, a wrong wire type: whose business it is does not matter.
    yield pb((1, "models/"), (1, "secret/"), (2, "secret0")), False
    yield pb((1, "secret/"), (1, "models/"), (2, "models0"), (99, "x")), False
    yield pb((1, "models/"), (2, 7)), False
    yield pb((2, "models0")), False


def reads_in(request):
    """A Range wherever a Txn may hold one."""
    op = pb((1, request))
    yield pb((2, op))
    yield pb((3, op), (1, pb((1, 0), (2, 0), (3, "none"), (4, 1))))
    yield pb((2, pb((4, pb((2, pb((4, pb((2, op))))))))))
    yield pb((2, op), (2, pb((2, pb((1, "own/x"), (2, "y"))))))


def writes(victim, lease, pair):
    """(method, message): each would harm the victim, if anything did."""
    return share(writes_of_pairs(victim, lease), pair) + list(writes_of_all(victim, lease))


def writes_of_pairs(victim, lease):
    raw = slice_of(victim)
    for key in (f"models/<{victim}>", "models/same", f"secret/<{victim}>", raw + f"models/<{victim}>", "bh/m/n/" + victim + "."):
        yield "KV/Put", pb((1, key), (2, "stolen"), (4, 1))
        yield "KV/Put", pb((1, key), (2, "stolen"), (3, lease))
        yield "KV/Put", pb((1, key), (5, 1), (4, 1))
        yield "KV/Put", pb((1, key), (2, "stolen"), (6, 1))
    for key, end, _ in intervals(victim):
        delete = pb(*interval(key, end), (3, 1))
        yield "KV/DeleteRange", delete
        yield "KV/Txn", pb((2, pb((3, delete))))
        yield "KV/Txn", pb((2, pb((4, pb((2, pb((3, delete))), (2, pb((1, pb(*interval(key, end))))))))))


def writes_of_all(victim, lease):
    raw = slice_of(victim)
    yield "KV/Put", pb((1, f"models/<{victim}>"), (2, "stolen"), (4, 1))
    yield "KV/Put", pb((1, raw + f"models/<{victim}>"), (2, "stolen"), (3, lease))
    delete = pb((1, "models/"), (2, "models0"), (3, 1))
    yield "KV/DeleteRange", delete
    yield "KV/Txn", pb((2, pb((3, delete))))
    yield "KV/Compact", pb((1, 1))
    for request in (pb((1, lease)), pb((1, lease), (2, 1))):
        yield "Lease/LeaseRevoke", request
        yield "Lease/LeaseTimeToLive", request
    yield "Lease/LeaseGrant", pb((1, 60), (2, lease))
    yield "Lease/LeaseGrant", pb((1, -1), (2, lease ^ (1 << 62)))
    yield "Lease/LeaseLeases", b""
    for method in ("Maintenance/Snapshot", "Maintenance/Hash", "Maintenance/HashKV", "Maintenance/Defragment", "Cluster/MemberAdd",
                   "Auth/UserList", "Auth/AuthEnable", "Maintenance/MoveLeader", "Cluster/MemberList", "Maintenance/Status"):
        yield method, b""


# ---- every method there is, whatever it is ----


def table():
    """[(method, kind, what happens)] of docs/etcd-rpcs.md, which a unit test holds equal to the sidecar's own table: a
    method that is added there is tried here."""
    with open(os.path.join(real.ROOT, "docs/etcd-rpcs.md")) as page:
        rows = re.findall(r"^\| `([\w.]+/\w+)` \| ([\w ]+) \| ([\w, ]+) \|", page.read(), re.M)
    assert len(rows) > 50, rows
    return rows


MAY_WAIT = ("v3lockpb.Lock/Lock", "v3electionpb.Election/Campaign")  # for others of the own namespace, that is
UNKNOWN = ("etcdserverpb.KV/Nothing", "etcdserverpb.Nothing/Range", "etcdserverpb.KV/range", "v4pb.KV/Range")


def blind_forms(victim, lease):
    """Messages that know nothing of a method's fields: the victim's names and numbers wherever they may stand."""
    raw = slice_of(victim)
    yield pb((1, "models/"), (2, "models0"))
    for key in (f"models/<{victim}>", raw + f"models/<{victim}>", "bh/m/n/" + victim + ".", raw):
        for f in (1, 2, 3, 7):
            yield pb((f, key))
            yield pb((f, pb((1, key))))
            yield pb((f, pb((f, key), (2, key[:-1] + chr(ord(key[-1]) + 1)))))
        yield pb((1, key), (2, key + "\xff"), (3, 1))
        yield pb((1, key), (2, "stolen"), (3, lease))
        yield pb((1, pb((1, key), (2, key + "\xff"), (6, 1))))
        yield pb((1, pb((1, key), (2, key), (3, 1), (4, lease))), (2, "stolen"))
    for f in (1, 2, 3, 4):
        yield pb((f, lease))
        yield pb((1, "models/x"), (f, lease))
        yield pb((f, pb((1, lease))))


def hostile_forms(victim, lease, seed):
    """Bytes that no library would write: cut, doubled, of a wrong type, too long, of nobody's grammar."""
    rng = random.Random(f"{victim} {seed}")
    key = (slice_of(victim) + f"models/<{victim}>").encode()
    whole = pb((1, key), (2, key + b"\xff"), (3, lease))
    for i in range(1, len(whole), 7):
        yield whole[:i]
    yield pb((1, "models/"), (1, key), (2, key + b"\xff"), (2, "models0"))
    yield b"\x0a\xff\xff\xff\xff\x0f" + key  # longer than all there is
    yield b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + key
    yield b"\x0a" + b"\x80" * 12 + b"\x00" + key  # a length that never ends
    yield b"\x0b" + pb((1, key)) + b"\x0c" + pb((1, key))  # a group
    yield b"\x0f" + key
    yield b"\x02" + varint(len(key)) + key  # field 0
    yield b"\x8a\x80\x00" + varint(len(key)) + key + b"\x92\x80\x00\x01\xff"  # tags longer than they need be
    yield pb((1, b"\0" + key), (2, key + b"\0"))
    yield pb((1, b"models/" + bytes(range(256))), (2, b"\xff" * 300))
    deep = pb((1, key))
    for _ in range(60):
        deep = pb((2, pb((4, deep))))
    yield deep
    for _ in range(12):
        message = bytearray(rng.choice((whole, pb((1, pb((1, key), (2, key)))), pb((2, pb((3, pb((1, key)))))))))
        for _ in range(rng.randrange(1, 4)):
            message[rng.randrange(len(message))] = rng.randrange(256)
        yield bytes(message)


class RedTeam(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack("keysteam")
        cls.addClassCleanup(cls.stack.close)
        cls.etcd = cls.stack.etcd()
        cls.store = cls.stack.etcd_client(cls.etcd.addr)
        cls.at = {(n, v): cls.stack.etcd_client(cls.stack.sidecar(n, cls.etcd, args=("--view", v)).etcd)
                  for v in VIEWS for n in NAMESPACES}
        cls.lease = {n: cls.grant(n) for n in NAMESPACES}
        for n in NAMESPACES:
            cls.plant(n)

    @classmethod
    def raw(cls, client, calls):
        """The calls' answers, the next asked before the last is read: (status, message)."""
        answers = []
        for i in range(0, len(calls), 64):
            for method, message in calls[i:i + 64]:
                service = method if "pb." in method else "etcdserverpb." + method
                client.tell(f"raw /{service} {message.hex()}")
            for _ in calls[i:i + 64]:
                line = client.answer()
                ok = re.fullmatch("OK ?([0-9a-f]*)", line)
                answers.append(("OK", bytes.fromhex(ok[1])) if ok else (line.split(" ")[0], line.encode()))
        return answers

    @classmethod
    def grant(cls, n):
        (status, message), = cls.raw(cls.at[n, "own"], [("Lease/LeaseGrant", pb((1, 3600)))])
        assert status == "OK", message
        return dict(read(message))[2]

    @classmethod
    def plant(cls, n):
        own = cls.at[n, "own"]
        cls.raw(own, [("KV/DeleteRange", pb((1, "\0"), (2, "\0")))])
        for key in (f"models/<{n}>", "models/same", f"instances/<{n}>", f"secret/<{n}>"):
            cls.raw(own, [("KV/Put", pb((1, key), (2, f"<{n}> {key}"), (3, cls.lease[n])))])

    def slices(self):
        """What the raw store holds, by whose it is."""
        (status, message), (_, leases) = self.raw(self.store, [("KV/Range", pb((1, "\0"), (2, "\0"))), ("Lease/LeaseLeases", b"")])
        self.assertEqual("OK", status)
        held = {n: {} for n in NAMESPACES}
        for number, kv in read(message):
            if number == 2:
                key = dict(read(kv))[1]
                path = re.match(rb"bh/d((?:/[^./]+)*)\.", key)
                held.setdefault(path[1].decode()[1:] or "default" if path else "registry", {})[key] = kv
        return held, {dict(read(v))[1] for number, v in read(leases) if number == 2}

    def others_are_as_they_were(self, who, before, leases_before):
        """What is its own is planted anew. Leases that a Lock took without naming one run out by themselves."""
        n = who[0]
        after, leases_after = self.slices()
        for m in before:
            if m != n:
                self.assertEqual(before[m], after.get(m), f"{who} changed {m}'s")
        self.assertEqual(set(before), set(after), who)
        self.assertEqual(set(), set(self.lease.values()) & leases_before - leases_after - {self.lease[n]}, who)
        self.plant(n)

    def judge(self, who, what, text, seen, mark=VALUE):
        n, view = who
        for m in {m.decode() for m in mark.findall(text)} - {n}:
            self.assertTrue(seen and view == "subtree" and above(n, m), f"{n} ({view}) saw {m}: {what} -> {text}")
            self.crossed += 1

    def test_reads(self):
        self.crossed = asked = 0
        held, _ = self.slices()
        for m in NAMESPACES:
            self.assertIn(f"<{m}> secret".encode(), b"".join(held[m].values()), "there is something to see")
        pair = 0
        for who, client in self.at.items():
            for m in NAMESPACES:
                pair += 1
                calls = []
                for request, seen in share(ranges(m), pair):
                    calls += [(seen, ("KV/Range", request)), (seen, ("KV/RangeStream", request))]
                    calls += [(False, ("KV/Txn", t)) for t in reads_in(request)]
                for (seen, call), (_, text) in zip(calls, self.raw(client, [c for _, c in calls])):
                    self.judge(who, call, text, seen, KEY)
                asked += len(calls)
        print(f"{asked} reads, {self.crossed} times a descendant was seen, nobody else ever")
        self.assertGreater(self.crossed, 0)

    def test_compares(self):
        """A compare finds what is another's absent: it says what it says of a key that nobody has."""
        for i, ((n, _), client) in enumerate(self.at.items()):
            for m in NAMESPACES:
                forms = []
                for target, field in ((0, 4), (1, 5), (2, 6), (3, 7), (4, 8)):
                    for result in range(4):
                        forms.append([pb((1, result), (2, target), (3, key), (field, 0 if field != 7 else "<"))
                                      for key in (f"models/<{m}>", slice_of(m) + f"models/<{m}>", "models/none")])
                for form in share(forms, i):
                    said = [dict(read(text)).get(2) for _, text in self.raw(client, [("KV/Txn", pb((1, c))) for c in form])]
                    self.assertEqual(said[1], said[2], (n, m, form))
                    self.assertTrue(m == n or said[0] == said[2], (n, m, form))

    def test_counts(self):
        """Numbers tell no more than keys do."""
        for (n, view), client in self.at.items():
            below = [m for m in NAMESPACES if m == n or (view == "subtree" and above(n, m))]
            for key, end, want in (("models/", "models0", len(below) + 1), ("secret/", "secret0", 1), ("m", "n", 2)):
                for options in ((), ((3, 1),), ((9, 1),)):
                    (_, text), = self.raw(client, [("KV/Range", pb((1, key), (2, end), *options))])
                    self.assertEqual(want, dict(read(text))[4], (n, view, key, options))

    def test_writes(self):
        """Whoever writes may ruin what is his own, which is planted anew; the others' is as it was."""
        tried = 0
        self.crossed = 0
        for pair, (who, client) in enumerate(self.at.items()):
            n = who[0]
            before, leases_before = self.slices()
            for m in NAMESPACES:
                if m == n:
                    continue
                pair += 1
                calls = writes(m, self.lease[m], pair)
                for call, (status, text) in zip(calls, self.raw(client, calls)):
                    tried += 1
                    self.judge(who, call, text, False)
                    if call[0] == "Lease/LeaseLeases":
                        self.assertNotIn(varint(self.lease[m]), text, (who, call))
                    if call[0] == "Lease/LeaseRevoke":
                        self.assertEqual("NotFound", status, (who, call))
                    elif call[0] == "Lease/LeaseTimeToLive":
                        self.assertEqual((1 << 64) - 1, dict(read(text))[3], (who, call))
                self.assertEqual("OK", client.ask("open k Lease.LeaseKeepAlive"))
                client.ask(f"send k ID {self.lease[m]}")
                self.assertEqual("GOT ID #", client.ask("recv k"))
                client.ask("half k")
                client.ask("status k")
            self.others_are_as_they_were(who, before, leases_before)
        print(f"{tried} attempts to change what is another's: nothing changed")

    def stream(self, client, method, message):
        """All that a call says, within its deadline."""
        self.assertEqual("OK", client.ask(f"open t /{method}"))
        client.ask("send t " + message.hex())
        client.ask("half t")
        said = b""
        while (answer := client.ask("recv t")).startswith("GOT"):
            said += bytes.fromhex(answer[4:])
        return client.ask("status t").split(" ")[0], said

    def try_methods(self, forms, stride):
        """Every method with every form, by the pairs together: nothing crosses, nothing of others changes."""
        methods = [(m, kind, happens) for m, kind, happens in table()] + [(m, "one call", "unknown") for m in UNKNOWN]
        tried = {}
        self.crossed = 0
        for number, (who, client) in enumerate(self.at.items()):
            n = who[0]
            before, leases_before = self.slices()
            for pair, m in enumerate(NAMESPACES):
                if m == n:
                    continue
                all_forms = list(forms(m, self.lease[m]))
                turn = number * len(NAMESPACES) + pair
                calls, streams = [], []
                for i, (method, kind, happens) in enumerate(methods):
                    waits = kind != "one call" or method in MAY_WAIT
                    if waits and STRIDE > 1:  # one form for every other reader and method, each time of another's names
                        if (number + i) % 2 == 0 and (number + i) // 2 % 8 == (pair - NAMESPACES.index(n) - 1) % len(NAMESPACES):
                            streams.append((method, happens, all_forms[(number + 5 * i) % len(all_forms)]))
                        continue
                    for j, form in enumerate(all_forms):
                        if (j + 7 * i + turn) % stride == 0:
                            (streams if waits else calls).append((method, happens, form))
                answers = self.raw(client, [(method, form) for method, _, form in calls])
                client.ask("deadline 80")
                answers += [self.stream(client, method, form) for method, _, form in streams]
                client.ask("deadline 0")
                for (method, happens, form), (status, text) in zip(calls + streams, answers):
                    what = f"{method} {form}"
                    tried[method] = tried.get(method, 0) + 1
                    self.judge(who, what, text, method.split("/")[1] in ("Range", "RangeStream", "Watch"))
                    self.assertNotIn(f"<{m}> secret".encode(), text, (who, what))
                    if happens in ("denied", "unknown"):
                        self.assertIn(status, ("PermissionDenied" if happens == "denied" else "Unimplemented", "DeadlineExceeded"), (who, what))
            self.others_are_as_they_were(who, before, leases_before)
        self.assertEqual({m for m, _, _ in methods}, set(tried), "every method was tried")
        print(f"{sum(tried.values())} calls of {len(methods)} methods, {self.crossed} times a descendant was seen")

    def test_every_method_of_the_table(self):
        self.try_methods(blind_forms, 12 * STRIDE)

    def test_every_method_with_hostile_bytes(self):
        seed = seeds.seed("REDTEAM_SEED")
        self.try_methods(lambda victim, lease: hostile_forms(victim, lease, seed), 8 * STRIDE)

    def test_locks(self):
        """One lock and one election of each name a namespace; another's key of one is a missing key."""
        held = {}
        for n in NAMESPACES:
            own = self.at[n, "own"]
            own.ask("deadline 20000")
            (lock_status, lock), (_, led) = self.raw(own, [
                ("v3lockpb.Lock/Lock", pb((1, "models/lk"), (2, self.lease[n]))),
                ("v3electionpb.Election/Campaign", pb((1, "models/el"), (2, self.lease[n]), (3, f"<{n}> secret")))])
            self.assertEqual("OK", lock_status, n)
            held[n] = (dict(read(lock))[2], dict(read(led))[2])
        before, _ = self.slices()
        self.crossed = 0
        for who, client in self.at.items():
            for m in NAMESPACES:
                if m == who[0]:
                    continue
                key, leader = held[m]
                fields = dict(read(leader))
                stored = pb((1, fields[1]), (2, slice_of(m).encode() + fields[2]), (3, fields[3]), (4, fields[4]))
                calls = [("v3lockpb.Lock/Unlock", pb((1, key))), ("v3lockpb.Lock/Unlock", pb((1, slice_of(m).encode() + key))),
                         ("v3lockpb.Lock/Lock", pb((1, "models/lk"), (2, self.lease[m])))]
                for form in (leader, stored):
                    calls += [("v3electionpb.Election/Proclaim", pb((1, form), (2, "stolen"))), ("v3electionpb.Election/Resign", pb((1, form)))]
                calls += [("v3electionpb.Election/Campaign", pb((1, "models/el"), (2, self.lease[m]), (3, "stolen"))),
                          ("v3electionpb.Election/Leader", pb((1, "models/el"))),
                          ("v3electionpb.Election/Leader", pb((1, slice_of(m) + "models/el")))]
                for call, (_, text) in zip(calls, self.raw(client, calls)):
                    self.judge(who, call, text, False)
        after, _ = self.slices()
        self.assertEqual(before, after)
        for n in NAMESPACES:
            self.at[n, "own"].ask("deadline 0")
            self.plant(n)

    def test_watches(self):
        """Every interval, watched from now, from the past and from the future, with every option and many
        ids on one stream; all that everybody does then; and a fence in each interval to end the waiting."""
        watched, turn = {}, 0
        for who, client in self.at.items():
            self.assertEqual("OK", client.ask("open w Watch.Watch"))
            watched[who], number = {}, 0
            asks = [(k, e, s) for m in ("default", "z", "a/b") for k, e, s in intervals(m)]
            for key, end, seen in dict.fromkeys(asks):
                if end and end != "\0" and end <= key or key in ("models/zz", "\xff") or end == "":
                    continue
                quoted = "".join(c if " " < c < "\x7f" and c not in '"\\' else f"\\x{ord(c):02x}" for c in key)
                last = "" if end is None else ' range_end "' + "".join(c if " " < c < "\x7f" else f"\\x{ord(c):02x}" for c in end) + '"'
                turn += 1
                for i, options in enumerate(WATCH_OPTIONS):
                    if STRIDE > 1 and (i + turn) % len(WATCH_OPTIONS):
                        continue
                    number += 1
                    client.tell(f'send w create_request {{ key "{quoted}"{last} watch_id {number}{options} }}')
                    watched[who][number] = (key, end, seen)
            for i in (number + 1, number + 2):  # taken back while their tables are being read
                client.tell(f'send w create_request {{ key "models/" range_end "models0" watch_id {i} }}')
                client.tell(f"send w cancel_request {{ watch_id {i} }}")
            for _ in range(number + 4):
                self.assertEqual("OK", client.answer())
        for n in NAMESPACES:
            self.raw(self.at[n, "own"], [("KV/DeleteRange", pb((1, "models/"), (2, "models0"))), ("KV/DeleteRange", pb((1, "secret/"), (2, "secret0")))])
            self.plant(n)
        self.crossed = 0
        for who, client in self.at.items():
            for key in dict.fromkeys(k + ("" if e is None else FENCE if e != "\0" or k else "") for k, e, _ in watched[who].values()):
                status, = self.raw(client, [("KV/Put", pb((1, key), (2, FENCE)))])
                self.assertEqual("OK", status[0])
            waiting = set(watched[who])
            while waiting:
                text = client.ask("recv w")
                self.assertTrue(text.startswith("GOT"), (who, text, waiting))
                number = int((re.search(r"watch_id (\d+)", text) or [0, 0])[1])
                key, end, seen = watched[who].get(number, ("models/", "models0", True))
                for m in re.findall(r'value "<([^>]*)>', text):
                    if m != who[0]:
                        self.assertTrue(seen and who[1] == "subtree" and above(who[0], m), f"{who} {key} {end}: {text}")
                        self.crossed += 1
                if f'value "{FENCE}"' in text:
                    waiting.discard(number)
            client.ask("cancel w")
            client.ask("status w")
        for n in NAMESPACES:
            self.plant(n)
        print(f"{len(self.at)} streams of {len(watched['z', 'own'])} watches, {self.crossed} responses about a descendant, none of others")
        self.assertGreater(self.crossed, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
