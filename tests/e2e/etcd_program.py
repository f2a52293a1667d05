# SPDX-License-Identifier: Apache-2.0
"""The random program of etcd_differential_test.py: lines for etcd_client, made from a seed. What depends
on the store is symbolic: {rN+D} is the store's revision after operation N, plus D; {key:NAME:LEASE} and
{leader:NAME:LEASE} are what the last Lock and Campaign of that name and lease were given."""

KEYS = ["a", "a/", "a/b", "a/b/c", "a0", "ab", "b", "b.", ".", "/", "0", "bh/d/b.a", "bh/m/v",
        r"\x00", r"\x00\x00", r"\xff", r"\xff\xff", "long" * 20]
ENDS = KEYS + [r"\x00", "c", "zzz"]  # not "": policy_test says why
ENDS_OPEN = r"\x00"
LEASES = range(1, 6)
LOCKS = ("lock1", "lock2")
ELECTIONS = ("boss1", "boss2")
OBSERVED = ELECTIONS[0]


def block(text):
    return "{ " + text + " }"


class Program:
    """Calls of KV and leases, each one line."""

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
        for word, plus in (("min_mod", 1), ("max_mod", 0), ("min_create", 1), ("max_create", 0)):
            if r.random() < 0.07:
                words.append(f"{word}_revision " + self.revision(plus))
        if not in_write and r.random() < 0.2:
            words.append("revision " + self.revision())
        return " ".join(words)

    def put(self, in_txn=False):
        r, words = self.rng, [f'key "{self.key()}"']
        if r.random() < 0.1:
            words.append("ignore_value 1")
        else:
            words.append(f'value "{r.choice("xyz") * r.randint(0, 9)}"')
        ignores = r.random() < 0.05
        if ignores:
            words.append("ignore_lease 1")
        # Both are wrong. Of a Txn with several things wrong, the sidecar may name another first.
        if r.random() < 0.3 and not (ignores and in_txn):
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
            return "request_put " + block(self.put(in_txn=True))
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

    def lease(self):
        lease = self.rng.choice(LEASES)
        lines = [f"call Lease.LeaseGrant TTL 6000 ID {lease}", f"call Lease.LeaseGrant TTL 6000 ID {lease}",
                 f"call Lease.LeaseGrant TTL {self.rng.choice([6000, 9000000001])}",
                 f"call Lease.LeaseRevoke ID {lease}", f"call Lease.LeaseTimeToLive ID {lease} keys 1"]
        return self.rng.choice(lines + ["call Lease.LeaseLeases "])

    def line(self):
        r = self.rng.random()
        if r < 0.35:
            return "call KV.Range " + self.range()
        if r < 0.6:
            return "call KV.Put " + self.put()
        if r < 0.68:
            return "call KV.DeleteRange " + self.delete()
        if r < 0.88:
            return "call KV.Txn " + self.txn()
        return self.lease()

    def watch(self):
        """A WatchCreateRequest, and a key that it watches."""
        r, key = self.rng, self.rng.choice(KEYS)
        words = [f'key "{key}"']
        if r.random() < 0.5:
            words.append(r'range_end "\x00"')
        for word, chance in (("prev_kv 1", 0.5), ("fragment 1", 0.3), ("filters NODELETE", 0.3),
                             ("progress_notify 1", 0.2), ("start_revision " + self.revision(1), 0.4)):
            if r.random() < chance:
                words.append(word)
        if r.random() < 0.3:
            words.append(f"watch_id {r.randint(20, 60)}")
        return " ".join(words), key


class Scenes:
    """Calls that need an answer to go on: locks, elections, streams. `test` is the Differential."""

    def __init__(self, program, test):
        self.program, self.rng, self.test, self.said = program, program.rng, test, 0
        self.all = [self.lock, self.lock_without_a_lease, self.lead, self.reign, self.leases, self.keep_alive, self.range_stream,
                    self.maintenance, self.auth, self.health, self.new_watch, self.cancel_watch, self.progress]

    def any(self):
        self.rng.choice(self.all + [self.lock, self.lead, self.lead])()

    def holders(self, name):
        """The leases whose keys stand under name, as both stores say."""
        answer = self.test.both(f'call KV.Range key "{name}/" range_end "{name}0" keys_only 1')
        return [int(lease) for lease in self.test.names_in(answer, name)]

    def lock(self):
        name, lease = self.rng.choice(LOCKS), self.rng.choice(LEASES)
        holders = self.holders(name)
        if set(holders) <= {lease}:  # it need not wait
            self.test.both(f'call Lock.Lock name "{name}" lease {lease}')
        else:
            self.test.both(f'call Lock.Unlock key "{{key:{name}:{holders[0]}}}"')

    def lock_without_a_lease(self):
        """The server's lease ends by itself; until then it is in no list that is compared."""
        self.test.both('call Lock.Lock name "lock0"')
        self.test.both('call Lock.Unlock key "{key:lock0:0}"')

    def lead(self):
        name, lease, what = self.rng.choice(ELECTIONS), self.rng.choice(LEASES), self.rng.random()
        holders = self.holders(name)
        self.said += 1
        if what < 0.5 and set(holders) <= {lease}:
            answer = self.test.both(f'call Election.Campaign name "{name}" value "{self.said}" lease {lease}')
        elif what < 0.7:  # perhaps it leads no more, or never did
            answer = self.test.both(f'call Election.Proclaim leader {{ {{leader:{name}:{lease}}} }} value "{self.said}"')
        elif what < 0.85 and holders:
            answer = self.test.both(f'call Election.Resign leader {{ {{leader:{name}:{holders[0]}}} }}')
        else:
            answer = self.test.both(f'call Election.Leader name "{name}"')
        if name == OBSERVED and answer.startswith("OK") and what < 0.7 and f'value "{self.said}"' in self.test.log[-1]:
            self.test.observed(self.said)

    def reign(self):
        """From the campaign to the resignation, whoever led before."""
        name, lease = ELECTIONS[1], self.rng.choice(LEASES)
        for holder in self.holders(name):
            self.test.both(f"call Election.Resign leader {{ {{leader:{name}:{holder}}} }}")
        self.test.both(f"call Lease.LeaseGrant TTL 6000 ID {lease}")
        leader = f"{{ {{leader:{name}:{lease}}} }}"
        for line in (f'Campaign name "{name}" value "one" lease {lease}', f'Proclaim leader {leader} value "two"',
                     f'Leader name "{name}"', f"Resign leader {leader}", f'Leader name "{name}"'):
            self.test.both("call Election." + line)

    def leases(self):
        lease = self.rng.choice(LEASES)
        for line in ("Grant TTL 6000 ID {}", "TimeToLive ID {} keys 1", "Leases ", "Revoke ID {}", "TimeToLive ID {}"):
            self.test.both("call Lease.Lease" + line.format(lease))

    def keep_alive(self):
        ids = [self.rng.choice(LEASES) for _ in range(self.rng.randint(1, 6))]
        for lease in ids:
            self.test.both(f"send alive ID {lease}")
        for _ in ids:
            self.test.both("recv alive")

    def range_stream(self):
        self.test.both("open ranges KV.RangeStream")
        # What refuses it may have come by now, on one side or both: its status is compared.
        self.test.each("send ranges " + self.program.range())
        self.test.each("half ranges")
        self.test.parts("ranges")
        self.test.both("status ranges")

    def maintenance(self):
        self.test.both("call Maintenance.Status ")
        self.test.both("call Maintenance.Alarm action GET")
        self.test.both("call Cluster.MemberList ")

    def auth(self):
        self.test.both(f'call Auth.Authenticate name "{self.rng.choice(["root", "u", ""])}" password "p"')
        self.test.both("call Auth.AuthStatus ")

    def health(self):
        self.test.both("raw /grpc.health.v1.Health/Check ")
        self.test.both("open health /grpc.health.v1.Health/Watch")
        self.test.both("send health ")
        self.test.both("half health")
        self.test.both("recv health")
        self.test.both("cancel health")
        self.test.both("status health")

    def new_watch(self):
        if len(self.test.watches) < 12:
            self.test.watch()

    def cancel_watch(self):
        unknown = 5000 + self.rng.randint(0, 9)
        watch = self.rng.choice(sorted(self.test.watches) + [unknown])
        self.test.cancel_watch(watch)

    def progress(self):
        self.test.both("send watch progress_request { }")
        self.test.progress()
