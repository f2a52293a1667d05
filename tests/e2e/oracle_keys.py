# SPDX-License-Identifier: Apache-2.0
"""The slow model of keys (design.md 4.3 to 4.5): every namespace's pairs at every revision; what a
Range, a Txn, a lease and a watch of each reader must answer. Enumeration only.

    state    {(namespace, key): Kv}, one for each revision; a compaction forgets nothing here
    seen     of a reader, an interval, a revision: {key: (namespace, Kv)}, the nearest holder's
    watch    what has changed between what was seen at r - 1 and what is seen at r
"""

import collections
import operator

import oracle_tree as trees

# lease: None, or (namespace, id as the namespace's applications know it)
Kv = collections.namedtuple("Kv", "key value create mod version lease")
Event = collections.namedtuple("Event", "revision is_delete key kv prev")  # kv, prev: (namespace, Kv) or None

NONE, ASCEND, DESCEND = range(3)
KEY, VERSION, CREATE, MOD, VALUE = range(5)
FUTURE, COMPACTED = "future", "compacted"  # a Range's errors
NEXT = b"\0"


def is_in(interval, key):
    start, end = interval
    if end is None or end == b"":
        return key == start
    return key >= start and (end == NEXT or key < end)


def after_prefix(prefix):
    """The least key that does not begin with it and is greater."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else NEXT


def is_in_view(place, interval):
    """Does all of the interval lie in one listed prefix?"""
    if place.view != "subtree":
        return False
    start, end = interval
    return any(start.startswith(p) and (not end or (end != NEXT and end <= after_prefix(p))) for p in trees.key_lists(place))


class Keys:
    def __init__(self, revision):
        self.first = self.revision = revision
        self.compacted = 0
        self.states = {revision: {}}
        self.touched = {}  # revision -> the keys, in their order, and whose
        self.leases = {}  # (namespace, id) -> ttl

    def state(self, revision=None):
        revision = self.revision if revision is None else revision
        return self.states[max(revision, self.first)]

    def skip(self, revision):
        """Others wrote what no application sees: the registry."""
        while self.revision < revision:
            self.states[self.revision + 1] = self.states[self.revision]
            self.revision += 1

    # ---- what is seen ----

    def seen(self, place, interval, state):
        best = {}
        for (namespace, key), kv in state.items():
            if not is_in(interval, key):
                continue
            if namespace != place.namespace:
                if not is_in_view(place, interval) or not trees.is_above(place.namespace, namespace):
                    continue
            if key not in best or trees.nearness(namespace) < trees.nearness(best[key][0]):
                best[key] = namespace, kv
        return best

    def range(self, place, ask):
        """(pairs, more, count) or an error. ask: key, end, limit, revision, order, target, keys_only, count_only and
        the four bounds."""
        revision = ask.get("revision", 0)
        if revision > self.revision:
            return FUTURE
        if 0 < revision < self.compacted:
            return COMPACTED
        return self.range_of(self.state(revision or None), place, ask)

    def range_of(self, state, place, ask):
        pairs = sorted(self.seen(place, (ask["key"], ask.get("end")), state).values(), key=lambda p: p[1].key)
        count = len(pairs)
        if ask.get("count_only"):
            return [], False, count
        limit, order, target = ask.get("limit", 0), ask.get("order", NONE), ask.get("target", KEY)
        bounds = {k: v for k, v in ask.items() if k in ("min_mod", "max_mod", "min_create", "max_create") and v}
        if limit > 0 and order == NONE and not bounds:
            pairs = pairs[:limit + 1]  # etcd cuts before it sorts by a target without an order
        for bound, v in bounds.items():
            pairs = [p for p in pairs if (getattr(p[1], bound[4:]) >= v if bound.startswith("min") else getattr(p[1], bound[4:]) <= v)]
        by = ("key", "version", "create", "mod", "value")[target]
        if order != NONE or target != KEY:
            pairs.sort(key=lambda p: getattr(p[1], by), reverse=order == DESCEND)
        more = limit > 0 and len(pairs) > limit
        if limit > 0:
            pairs = pairs[:limit]
        if ask.get("keys_only"):
            pairs = [(n, kv._replace(value=b"")) for n, kv in pairs]
        return pairs, more, count

    def holds(self, namespace, compare):
        """One compare of a Txn: (interval, target's name, result's, value); always of the own slice."""
        interval, target, result, value = compare
        found = [kv for (n, k), kv in self.state().items() if n == namespace and is_in(interval, k)]
        if not found and target == "value":
            return False

        def is_so(kv):
            has = getattr(kv, target)
            return {"=": operator.eq, "!": operator.ne, ">": operator.gt, "<": operator.lt}[result](has, value)
        return all(is_so(kv) for kv in found or [Kv(b"", b"", 0, 0, 0, None)])

    # ---- what is written: always one namespace's own ----

    def write(self, namespace, operations):
        """One Txn: ("put", key, value or None, lease or "same"), ("delete", interval), ("range", place, ask), in their
        order. Returns each one's answer: what a put replaced, or None; a delete's list; a range's."""
        state, revision, touched, replaced = dict(self.state()), self.revision + 1, [], []
        for op in operations:
            if op[0] == "put":
                _, key, value, lease = op
                was = state.get((namespace, key))
                replaced.append(was)
                state[namespace, key] = Kv(key, was.value if value is None else value, was.create if was else revision, revision,
                                           was.version + 1 if was else 1, was.lease if lease == "same" else lease)
                touched.append(key)
            elif op[0] == "range":
                replaced.append(self.range_of(state, op[1]._replace(view="own"), op[2]))
            else:
                gone = sorted(k for n, k in state if n == namespace and is_in(op[1], k))
                replaced.append([state.pop((namespace, k)) for k in gone])
                touched += gone
        if touched:
            self.states[revision] = state
            self.touched[revision] = namespace, touched
            self.revision = revision
        return replaced

    def revoke(self, namespace, lease):
        del self.leases[namespace, lease]
        keys = self.lease_keys(namespace, lease)
        self.write(namespace, [("delete", (k, None)) for k in keys])

    def lease_keys(self, namespace, lease):
        return sorted(k for (n, k), kv in self.state().items() if n == namespace and kv.lease == (namespace, lease))

    # ---- what a watch shows ----

    def events(self, place, interval, first, last, filters=()):
        """Every event of the revisions first to last, in order: law V read as a definition."""
        events = []
        for revision in range(max(first, self.first + 1), last + 1):
            if revision not in self.touched:
                continue
            before, after = (self.seen(place, interval, self.state(r)) for r in (revision - 1, revision))
            for key in self.touched[revision][1]:
                was, now = before.get(key), after.get(key)
                if was == now:
                    continue
                kind = "put" if now else "delete"
                if kind not in filters:
                    events.append(Event(revision, not now, key, now, was))
        return events
