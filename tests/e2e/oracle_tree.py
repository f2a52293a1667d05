# SPDX-License-Identifier: Apache-2.0
"""A random tree of namespaces and the sidecars in it, for the oracle of both planes: who is above whom,
who sees what by which lists. Nothing of the sidecar: a namespace is a tuple of its segments."""

import collections

# Names whose bytes stand next to each other, in the stores and among themselves.
SEGMENTS = ("a", "b", "ab", "a-b", "a.b", "a0", "A", "x_y", "default", "0", "z")
DEPTH = 4

# Each sidecar has one of these; they may differ between the members of one namespace.
VIEW_KEYS = (None, None, "models,instances/", "models/,instances/,secret/", "models/a")
DEFAULT_KEYS = (b"instances/", b"models", b"mdc/", b"v1/instances/", b"v1/mdc/", b"v1/event_channels/", b"v1/event_sources/")
# Whole installations have one of each of these.
VIEW_EVENTS = (("_INBOX.>", "namespace.>"), ("_INBOX.>", "namespace.*", "plain"), ("_INBOX.c.*", "namespace.>", "b.>"))
VIEW_REQUESTS = (("$SRV.>", "*.*-<hex>"), ("$SRV.*", "*.g-<hex>", "plain.x"))

Place = collections.namedtuple("Place", "namespace view keys")


def name(namespace):
    return "/".join(namespace) or "default"


def is_above(a, b):
    """Is a a proper ancestor of b?"""
    return len(a) < len(b) and b[:len(a)] == a


def is_within(above, namespace):
    return above == namespace or is_above(above, namespace)


def nearness(namespace):
    """Of those that hold one thing the least wins: fewest segments, then the order of the paths as written."""
    return len(namespace), "/".join(namespace)


def enc(segment):
    return segment.replace(".", "%2E")


def key_slice(namespace):
    return ("bh/d" + "".join("/" + enc(s) for s in namespace) + ".").encode()


def tokens(namespace):
    return ".".join([enc(s) for s in namespace] + ["~"] * (DEPTH - len(namespace)))


def stream_prefix(namespace):
    return "".join(enc(s) + "~" for s in namespace) + "~"


class Tree:
    """Random: `size` sidecars; the namespaces of some only later (late)."""

    def __init__(self, random, size=10, late=1):
        self.random = random
        self.events = random.choice(VIEW_EVENTS)
        self.requests = random.choice(VIEW_REQUESTS)
        # Two whose order as written is not that of what is stored.
        above = () if random.random() < 0.5 else (random.choice(SEGMENTS[:3]),)
        namespaces = [above[:n] for n in range(len(above) + 1)] + [above + ("a-b",), above + ("a.b",)]
        while len(namespaces) < size - 2:
            # Half of them as deep as it gets, half anywhere: long lines, and many siblings.
            parents = [n for n in namespaces if len(n) < DEPTH]
            parent = max(parents, key=len) if random.random() < 0.4 else random.choice(parents)
            child = parent + (random.choice(SEGMENTS),)
            if child not in namespaces and child != ("default",):
                namespaces.append(child)
        self.namespaces = namespaces
        self.late = [self.place(n, "subtree") for n in namespaces[len(namespaces) - late:]]
        self.places = [self.place(n, "subtree" if i == 0 or random.random() < 0.8 else "own")
                       for i, n in enumerate(namespaces[:len(namespaces) - late])]
        while len(self.places) < size - late:  # second members, with the other view
            first = random.choice(self.places)
            self.places.append(self.place(first.namespace, "own" if first.view == "subtree" else "subtree"))

    def place(self, namespace, view):
        return Place(namespace, view, self.random.choice(VIEW_KEYS))

    def start(self, stack, place, store, bus):
        args = ["--view", place.view, "--view-events", ",".join(self.events), "--view-requests", ",".join(self.requests)]
        if place.keys is not None:
            args += ["--view-keys", place.keys]
        return stack.sidecar(name(place.namespace), store, bus, args=args)

    def __str__(self):
        return "; ".join(f"{name(p.namespace)} ({p.view}, {p.keys or 'default keys'})" for p in self.places + self.late) + \
            f"; events {','.join(self.events)}; requests {','.join(self.requests)}"


def key_lists(place):
    return DEFAULT_KEYS if place.keys is None else tuple(k.encode() for k in place.keys.split(","))
