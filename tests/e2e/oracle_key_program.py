# SPDX-License-Identifier: Apache-2.0
"""A random program on a real etcd through the sidecars of a tree, each answer and each watch's events
compared with the model (oracle_keys.py). Every write goes through a sidecar, one after the other, so
that the model knows what every revision is.

A fence ends the waiting for a watch: a write of its own namespace in its interval, an event like any."""

import stack as real
import oracle_keys as model
import oracle_tree as trees
from wirepb import every, field, pb, read

KEYS = (b"models/a", b"models/b", b"models/a/b", b"models", b"modelsx", b"models/\0", b"models/\xff", b"instances/x", b"secret/x",
        b"\xff\xff", b"a", b"bh/d/a.models/a", b"models/bh/d.models/a")
USUAL = (b"models/a", b"models/b", b"instances/x", *(b"models/a%d" % i for i in range(8)))
# (key, range end, a key in it that is nobody's but the fence's, except where there is only one)
INTERVALS = ((b"models/", b"models0", b"models/~f"), (b"models/a", None, b"models/a"), (b"models/a", b"models/c", b"models/b~f"),
             (b"models/b", b"models/\xff\xff", b"models/~f"), (b"models", b"modelt", b"models~f"),
             (b"instances/", b"instances0", b"instances/~f"), (b"instances/x", None, b"instances/x"),
             (b"secret/", b"secret0", b"secret/~f"), (b"\0", b"\0", b"~f"), (b"m", b"n", b"m~f"), (b"models/", b"\0", b"models/~f"),
             (b"models/a", b"models/b", b"models/a~f"))
ONLY_READ = ((b"models/b", b"models/a"), (b"models/a", b""))
INSERTION_SORT = 12  # etcd's order of equal targets is one only as long as Go sorts by insertion
CHOSEN = 1 << 37  # a lease id below is the application's choice; the store knows it by another (design.md 4.4)
WATCHES = 4
ASK = {"key": 1, "end": 2, "limit": 3, "revision": 4, "order": 5, "target": 6, "keys_only": 8, "count_only": 9, "min_mod": 10,
       "max_mod": 11, "min_create": 12, "max_create": 13}
TARGETS = {"version": (0, 4), "create": (1, 5), "mod": (2, 6), "value": (3, 7), "lease": (4, 8)}
RESULTS = {"=": 0, ">": 1, "<": 2, "!": 3}
REFUSALS = {model.FUTURE: "required revision is a future revision", model.COMPACTED: "required revision has been compacted"}


class Watch:
    def __init__(self, interval, fence, filters, wants_prev, start):
        self.interval, self.fence, self.filters, self.wants_prev, self.start = interval, fence, filters, wants_prev, start
        self.next = 0  # the first revision that `wanted` does not yet cover
        self.wanted, self.got, self.ends = [], [], set()  # ends: how many events there were after each whole response
        self.is_dead = False

    def __str__(self):
        return f"watch of [{self.interval[0]!r}, {self.interval[1]!r}) from {self.start}, without {self.filters}"


class Reader:
    def __init__(self, number, place, client):
        self.number, self.place, self.client = number, place, client
        self.watches, self.next_id = {}, 100
        client.ask("open w /etcdserverpb.Watch/Watch")

    def __str__(self):
        return f"{trees.name(self.place.namespace)} ({self.place.view}, {self.place.keys})"

    def call(self, method, message):
        """("OK", message) or (status, text)."""
        status, _, rest = self.client.ask(f"raw /etcdserverpb.{method} {message.hex()}").partition(" ")
        return (status, bytes.fromhex(rest)) if status == "OK" else (status, rest)


class Program:
    def __init__(self, test, tree, random, stack, store, sidecars):
        self.test, self.tree, self.random, self.stack = test, tree, random, stack
        self.raw = Reader(-1, None, stack.etcd_client(store.addr, "etcd-raw"))
        self.log, self.readers = [], []
        self.checked = self.shown = 0
        for place, sidecar in sidecars:
            self.add(place, sidecar)
        # The first sidecar's note of the patterns is the last thing that is not the program's.
        real.wait_until(lambda: field(self.must(self.raw.call("KV/Range", pb((1, "bh/m/view"), (9, 1)))), 4), "bh/m/view is written")
        self.keys = model.Keys(self.revision_now())

    def add(self, place, sidecar):
        reader = Reader(len(self.readers), place, self.stack.etcd_client(sidecar.etcd))
        self.must(reader.call("KV/Range", pb((1, "x"))))
        self.readers.append(reader)

    def close(self):
        for reader in (*self.readers, self.raw):
            reader.client.stop()

    def counts(self):
        return {"answers": self.checked, "descendants' pairs": self.shown}

    def fail(self, text):
        self.test.fail(f"{text}\n{self.tree}\n" + "\n".join(self.log[-60:]))

    def must(self, answer):
        if answer[0] != "OK":
            self.fail(f"{answer}")
        return answer[1]

    def equal(self, want, got, what):
        if want != got:
            self.fail(f"{what}: want {want}, got {got}")
        self.checked += 1

    def revision_now(self):
        return field(field(self.must(self.raw.call("KV/Range", pb((1, "\0"), (9, 1)))), 1), 3)

    # ---- comparing ----

    def is_lease(self, shown, lease, reader):
        if lease is None:
            return shown == 0
        owner, number = lease
        if owner != reader.place.namespace and number < CHOSEN:
            return shown >> 62 & 1 == 1 and shown & (CHOSEN - 1) == number  # as it is stored
        return shown == number

    def same_pair(self, got, want, reader, what, ask=()):
        got = dict(read(got))
        self.equal((want.key, want.create, want.mod, want.version, want.value),
                   (got.get(1), got.get(2, 0), got.get(3, 0), got.get(4, 0), got.get(5, b"")), f"{reader}: {what}")
        if "keys_only" in ask and not got.get(6):
            return  # etcd 3.7 answers from the index, which knows no lease
        if not self.is_lease(got.get(6, 0), want.lease, reader):
            self.fail(f"{reader}: {what}: lease {got.get(6, 0):x} of {want}")

    def same_pairs(self, got, want, reader, what, ask=()):
        self.equal([kv.key for kv in want], [field(m, 1, b"") for m in got], f"{reader}: {what}")
        for message, kv in zip(got, want):
            self.same_pair(message, kv, reader, what, ask)

    def same_range(self, message, want, reader, what, ask):
        pairs, more, count = want
        self.same_pairs(every(message, 2), [kv for _, kv in pairs], reader, what, ask)
        self.equal((int(more), count), (field(message, 3), field(message, 4)), f"{reader}: {what}: more, count")
        self.shown += sum(n != reader.place.namespace for n, _ in pairs)

    def same_revision(self, message, what):
        self.equal(self.keys.revision, field(field(message, 1), 3), f"{what}: revision")

    # ---- reading ----

    def any_interval(self):
        if self.random.random() < 0.15:
            return self.random.choice(ONLY_READ)
        return self.random.choice(INTERVALS)[:2] if self.random.random() < 0.6 else INTERVALS[0][:2]

    def any_ask(self, at_any_revision=True):
        r = self.random
        key, end = self.any_interval()
        ask = {"key": key} if end is None else {"key": key, "end": end}
        if r.random() < 0.5:
            ask["limit"] = r.randrange(5)
        if r.random() < 0.5:
            ask["order"], ask["target"] = r.randrange(3), r.randrange(5)
        if r.random() < 0.2:
            ask["keys_only"] = 1
        if r.random() < 0.1:
            ask["count_only"] = 1
        for bound in ("min_mod", "max_mod", "min_create", "max_create"):
            if r.random() < 0.08:
                ask[bound] = r.randrange(self.keys.first, self.keys.revision + 2)
        if at_any_revision and r.random() < 0.4:
            ask["revision"] = r.randrange(max(1, self.keys.compacted - 2, self.keys.first), self.keys.revision + 2)
        return ask

    def settled_ask(self, reader, ask):
        """The same where etcd's own order of equal targets is one, else by key."""
        want = self.keys.range(reader.place, {**ask, "count_only": 1})
        if not isinstance(want, str) and want[2] > INSERTION_SORT and ask.get("target"):
            ask.pop("target")
        return ask

    def encode(self, ask):
        return pb(*((ASK[k], v) for k, v in ask.items()))

    def range_stream(self, reader, ask):
        """As one RangeResponse: the pairs of all parts, the rest of the last."""
        reader.client.ask("open r /etcdserverpb.KV/RangeStream")
        reader.client.ask("send r " + self.encode(ask).hex())
        reader.client.ask("half r")
        pairs, last = [], b""
        while (answer := reader.client.ask("recv r")).startswith("GOT"):
            last = field(bytes.fromhex(answer[4:]), 1, b"")
            pairs += every(last, 2)
        status, _, text = reader.client.ask("status r").partition(" ")
        if status != "OK":
            return status, text
        return status, pb(*((n, v) for n, v in read(last) if n != 2), *((2, kv) for kv in pairs))

    def step_range(self, reader):
        ask = self.settled_ask(reader, self.any_ask())
        is_stream = self.random.random() < 0.2  # etcd 3.7; earlier ones do not know it
        self.log.append(f"{reader}: Range{'Stream' if is_stream else ''} {ask}")
        want = self.keys.range(reader.place, ask)
        status, message = self.range_stream(reader, ask) if is_stream else reader.call("KV/Range", self.encode(ask))
        if is_stream and status == "Unimplemented":
            return
        if isinstance(want, str):
            self.equal("OutOfRange", status, f"{reader}: {ask}: {message}")
            self.equal(True, REFUSALS[want] in message, message)
            return
        self.equal("OK", status, f"{reader}: {message}")
        self.same_revision(message, "Range")
        self.same_range(message, want, reader, f"Range {ask}", ask)

    # ---- writing ----

    def any_key(self):
        dice = self.random.random()
        return self.random.choice(USUAL[:3] if dice < 0.4 else USUAL if dice < 0.75 else KEYS)

    def own_leases(self, namespace):
        return sorted(i for n, i in self.keys.leases if n == namespace)

    def any_put(self, namespace, key):
        """(the model's operation, the request)"""
        r, was = self.random, self.keys.state().get((namespace, key))
        value, lease, fields = b"%d" % r.randrange(50), None, [(1, key), (4, 1)]
        leases = self.own_leases(namespace)
        if leases and r.random() < 0.3:
            lease = namespace, r.choice(leases)
            fields.append((3, lease[1]))
        elif was and r.random() < 0.2:
            lease = "same"
            fields.append((6, 1))
        if was and r.random() < 0.15:
            value = None
            fields.append((5, 1))
        else:
            fields.append((2, value))
        return ("put", key, value, lease), pb(*fields)

    def same_replaced(self, message, number, was, reader, what):
        got = every(message, number)
        was = [] if was is None else was if isinstance(was, list) else [was]
        self.same_pairs(got, was, reader, what)

    def put(self, reader, op, request):
        self.log.append(f"{reader}: {op} -> {self.keys.revision + 1}")
        was, = self.keys.write(reader.place.namespace, [op])
        message = self.must(reader.call("KV/Put", request))
        self.same_revision(message, "Put")
        self.same_replaced(message, 2, was, reader, "Put's prev_kv")

    def step_put(self, reader):
        self.put(reader, *self.any_put(reader.place.namespace, self.any_key()))

    def delete(self, reader, interval):
        self.log.append(f"{reader}: delete {interval} -> {self.keys.revision + 1}")
        gone, = self.keys.write(reader.place.namespace, [("delete", interval)])
        message = self.must(reader.call("KV/DeleteRange", self.delete_request(interval)))
        self.same_revision(message, "DeleteRange")
        self.equal(len(gone), field(message, 2), f"{reader}: deleted")
        self.same_replaced(message, 3, gone, reader, "DeleteRange's prev_kvs")

    def delete_request(self, interval):
        return pb((1, interval[0]), *([] if interval[1] is None else [(2, interval[1])]), (3, 1))

    def step_delete(self, reader):
        self.delete(reader, (self.any_key(), None) if self.random.random() < 0.8 else self.any_interval())

    def any_compare(self, namespace):
        r, state = self.random, self.keys.state()
        target, result = r.choice(list(TARGETS)), r.choice(list(RESULTS))
        interval = (self.any_key(), None) if r.random() < 0.8 else (b"models/", b"models0")
        kvs = [kv for (_, k), kv in sorted(state.items(), key=str) if model.is_in(interval, k)]  # anybody's: what is seen must not matter
        value = getattr(r.choice(kvs), target) if kvs and r.random() < 0.7 else b"7" if target == "value" else None if target == "lease" else 0
        if target == "lease":
            # Ids are compared by equality only (proxy/etcd/README.md); another's is no id of one's own.
            result = r.choice("=!")
            value = value if value and value[0] == namespace else None
            encoded = value[1] if value else 0
        else:
            encoded = value
        number, at = TARGETS[target]
        end = [] if interval[1] is None else [(64, interval[1])]
        return (interval, target, result, value), pb((1, RESULTS[result]), (2, number), (3, interval[0]), (at, encoded), *end)

    def any_branch(self, reader):
        """[(the model's operation, the request's)]: puts and deletes of different keys, and ranges."""
        keys = self.random.sample(KEYS[:6], 4)
        branch = []
        for _ in range(self.random.randrange(4)):
            dice = self.random.random()
            if dice < 0.4:
                op, request = self.any_put(reader.place.namespace, keys.pop())
                branch.append((op, pb((2, request))))
            elif dice < 0.6:
                interval = keys.pop(), None
                branch.append((("delete", interval), pb((3, self.delete_request(interval)))))
            else:
                ask = self.settled_ask(reader, self.any_ask(at_any_revision=False))
                branch.append((("range", reader.place, ask), pb((1, self.encode(ask)))))
        return branch

    def step_txn(self, reader):
        compares = [self.any_compare(reader.place.namespace) for _ in range(self.random.randrange(3))]
        branches = self.any_branch(reader), self.any_branch(reader)
        succeeded = all(self.keys.holds(reader.place.namespace, c) for c, _ in compares)
        branch = branches[0 if succeeded else 1]
        self.log.append(f"{reader}: Txn {[c for c, _ in compares]} {succeeded} {[op for op, _ in branch]} from {self.keys.revision}")
        request = pb(*((1, c) for _, c in compares), *((2, op) for _, op in branches[0]), *((3, op) for _, op in branches[1]))
        answers = self.keys.write(reader.place.namespace, [op for op, _ in branch])
        message = self.must(reader.call("KV/Txn", request))
        self.same_revision(message, "Txn")
        self.equal(int(succeeded), field(message, 2), f"{reader}: succeeded")
        got = every(message, 3)
        self.equal(len(branch), len(got), f"{reader}: responses")
        for ((kind, *rest), _), answer, response in zip(branch, answers, got):
            (number, inner), = read(response)
            self.equal({"range": 1, "put": 2, "delete": 3}[kind], number, "the kind of a response")
            if kind == "range":
                self.same_range(inner, answer, reader, f"Range in a Txn {rest[1]}", rest[1])
            else:
                self.same_replaced(inner, 2 if kind == "put" else 3, answer, reader, f"{kind} in a Txn")

    # ---- leases ----

    def step_lease(self, reader):
        namespace, dice = reader.place.namespace, self.random.random()
        own = self.own_leases(namespace)
        foreign = sorted(i for n, i in self.keys.leases if n != namespace and i >= CHOSEN)
        if dice < 0.4 or not own:
            wanted, ttl = self.random.choice((0, 0, 1, 2, 3)), self.random.randrange(600, 900)
            status, message = reader.call("Lease/LeaseGrant", pb((1, ttl), (2, wanted)))
            self.log.append(f"{reader}: LeaseGrant {wanted} {status}")
            if wanted in own:
                self.equal("FailedPrecondition", status, message)
                return
            number = field(self.must((status, message)), 2)
            self.equal(True, number == wanted if wanted else number >= CHOSEN, f"{reader}: lease {number}")
            self.keys.leases[namespace, number] = ttl
        elif dice < 0.55:
            lease = self.random.choice(own)
            self.log.append(f"{reader}: LeaseRevoke {lease} from {self.keys.revision}")
            self.keys.revoke(namespace, lease)
            self.same_revision(self.must(reader.call("Lease/LeaseRevoke", pb((1, lease)))), "LeaseRevoke")
        elif dice < 0.75:
            lease = self.random.choice(own)
            message = self.must(reader.call("Lease/LeaseTimeToLive", pb((1, lease), (2, 1))))
            self.equal((lease, self.keys.leases[namespace, lease]), (field(message, 2), field(message, 4)), f"{reader}: TimeToLive")
            self.equal(self.keys.lease_keys(namespace, lease), sorted(every(message, 5)), f"{reader}: keys of lease {lease}")
        elif dice < 0.85:
            message = self.must(reader.call("Lease/LeaseLeases", b""))
            self.equal(own, sorted(field(m, 1) for m in every(message, 2)), f"{reader}: LeaseLeases")
        elif foreign:
            lease = self.random.choice(foreign)
            self.log.append(f"{reader}: uses the foreign lease {lease:x}")
            self.equal("NotFound", reader.call("Lease/LeaseRevoke", pb((1, lease)))[0], "LeaseRevoke")
            self.equal("NotFound", reader.call("KV/Put", pb((1, "models/a"), (3, lease)))[0], "Put")
            message = self.must(reader.call("Lease/LeaseTimeToLive", pb((1, lease), (2, 1))))
            self.equal(((1 << 64) - 1, []), (field(message, 3), every(message, 5)), "TimeToLive")

    # ---- watches ----

    def receive(self, reader):
        answer = reader.client.ask("recv w")
        if not answer.startswith("GOT "):
            self.fail(f"{reader}: the watches' stream: {answer}")
        message = bytes.fromhex(answer[4:])
        head = dict(read(message))
        if head.get(3) or head.get(4) and head.get(2, 0) not in reader.watches:
            return message  # created; canceled of none
        watch = reader.watches[head.get(2, 0)]
        if head.get(4):
            watch.is_dead = True
            return message
        watch.got += every(message, 11)
        if not head.get(7):
            watch.ends.add(len(watch.got))
        return None

    def step_watch(self, reader):
        r = self.random
        if len(reader.watches) >= WATCHES:
            return self.step_cancel(reader)
        key, end, fence = r.choice(INTERVALS) if r.random() < 0.6 else INTERVALS[0]
        filters = () if end is None or r.random() < 0.8 else r.choice((("put",), ("delete",)))
        start = r.choice((0, 0, self.keys.revision + 1, self.keys.revision + r.randrange(1, 6),
                          r.randrange(self.keys.first, self.keys.revision + 1) + 1, max(self.keys.first + 1, self.keys.compacted - 1)))
        if start == self.keys.compacted != 0:
            start += 1  # at the compacted revision itself etcd before 3.5.18 forgets deletes
        watch = Watch((key, end), fence, filters, r.random() < 0.6, start)
        fields = [(1, key)] + ([] if end is None else [(2, end)]) + [(3, start)] * (start != 0) + [(6, 1)] * watch.wants_prev
        fields += [(5, 0 if f == "put" else 1) for f in filters] + [(8, 1)] * r.randrange(2)
        if r.random() < 0.5:
            reader.next_id += 1
            fields.append((7, reader.next_id))
        self.log.append(f"{reader}: {watch}, at {self.keys.revision}")
        self.equal("OK", reader.client.ask("send w " + pb((1, pb(*fields))).hex()), "send")
        message = None
        while message is None:
            message = self.receive(reader)
        head = dict(read(message))
        self.equal((1, 0), (head.get(3, 0), head.get(4, 0)), f"{reader}: created")
        self.same_revision(message, "created")
        watch.next = start or self.keys.revision + 1
        reader.watches[head.get(2, 0)] = watch
        if watch.next < self.keys.compacted:
            message = None
            while message is None:
                message = self.receive(reader)
            self.equal(self.keys.compacted, dict(read(message)).get(5, 0), f"{reader}: a watch of what is compacted")
            del reader.watches[head.get(2, 0)]

    def step_cancel(self, reader):
        number = self.random.choice(list(reader.watches))
        self.log.append(f"{reader}: cancels {reader.watches[number]}")
        reader.client.ask("send w " + pb((2, pb((1, number)))).hex())
        while not reader.watches[number].is_dead:
            self.receive(reader)
        watch = reader.watches.pop(number)
        self.extend(reader, watch)
        self.compare(reader, watch, watch.wanted[:len(watch.got)])

    def extend(self, reader, watch):
        watch.wanted += self.keys.events(reader.place, watch.interval, watch.next, self.keys.revision, watch.filters)
        watch.next = max(watch.next, self.keys.revision + 1)

    def compare(self, reader, watch, wanted):
        self.equal(len(wanted), len(watch.got), f"{reader}: {watch}: events")
        for message, want in zip(watch.got, wanted):
            got = dict(read(message))
            what = f"{watch}: {want}"
            self.equal(int(want.is_delete), got.get(1, 0), f"{reader}: {what}")
            if want.is_delete:
                pair = dict(read(got[2]))
                self.equal({1: want.key, 3: want.revision}, {k: v for k, v in pair.items() if v}, f"{reader}: {what}")
            else:
                self.same_pair(got[2], want.kv[1], reader, what)
                self.shown += want.kv[0] != reader.place.namespace
            self.equal(watch.wants_prev and want.prev is not None, 3 in got, f"{reader}: {what}: has prev_kv")
            if 3 in got:
                self.same_pair(got[3], want.prev[1], reader, what + ": prev_kv")
        # A revision is never shown in parts.
        whole = {0} | {i + 1 for i, e in enumerate(wanted) if i + 1 == len(wanted) or wanted[i + 1].revision != e.revision}
        self.equal(set(), watch.ends - whole, f"{reader}: {watch}: responses end inside a revision")

    def settle(self):
        """Everything of every watch has come and is compared."""
        for reader in self.readers:
            for watch in reader.watches.values():
                self.put(reader, ("put", watch.fence, b"~", None), pb((1, watch.fence), (2, "~"), (4, 1)))
                if "put" in watch.filters:
                    self.delete(reader, (watch.fence, None))
        for reader in self.readers:
            for watch in reader.watches.values():
                self.extend(reader, watch)
            while any(len(w.got) < len(w.wanted) for w in reader.watches.values()):
                try:
                    self.receive(reader)
                except real.StackError as e:
                    self.fail(f"{e}: {reader} waits: " + "; ".join(f"{w}: has {len(w.got)} of {w.wanted}" for w in reader.watches.values()))
            for watch in reader.watches.values():
                self.equal(False, watch.is_dead, f"{reader}: {watch} was canceled")
                self.compare(reader, watch, watch.wanted)
                watch.wanted, watch.got, watch.ends = [], [], set()

    def step_compact(self):
        self.settle()
        self.keys.compacted = self.random.randrange(max(self.keys.first, self.keys.compacted), self.keys.revision) + 1
        self.log.append(f"compacted at {self.keys.compacted}")
        self.must(self.raw.call("KV/Compact", pb((1, self.keys.compacted))))

    def step(self):
        reader, dice = self.random.choice(self.readers), self.random.random()
        if dice >= 0.64 and self.random.random() < 0.7:  # a read: rather of one that sees others
            reader = self.random.choice([r for r in self.readers if r.place.view == "subtree" and len(r.place.namespace) < 2])
        for share, what in ((0.30, self.step_put), (0.14, self.step_delete), (0.10, self.step_txn), (0.10, self.step_lease),
                            (0.25, self.step_range), (0.11, self.step_watch)):
            dice -= share
            if dice < 0:
                return what(reader)

    def run(self, steps):
        for number in range(steps):
            self.step()
            if number % 40 == 39:
                self.settle()
            if number % 100 == 99 and self.random.random() < 0.7:
                self.step_compact()
        self.settle()

    def joined(self, place, sidecar):
        """A namespace that appears while others look on."""
        self.add(place, sidecar)
        self.keys.skip(self.revision_now())
