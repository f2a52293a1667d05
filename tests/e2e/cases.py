# SPDX-License-Identifier: Apache-2.0
"""What the tests share: two tenants and their neighbours on one etcd and one NATS, and the checks
that the raw stores hold nothing but design.md's layout."""

import re
import unittest

import eavesdrop
import stack as real

SEGMENT = rb"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+"
# design.md 4.1
STORED_KEY = re.compile(
    rb"bh/(?:m/v|m/view|d(?:/" + SEGMENT + rb")*\..+|m/n(?:/" + SEGMENT + rb")*\.|m/t/[0-9a-f]{6}"
    rb"|m/l(?:/" + SEGMENT + rb")*\.[0-9a-f]{16})", re.S)
# design.md 5.1
STORED_SUBJECT = re.compile(
    r"bh\.[edj](?:\.(?:~|(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+)){4}\.\S+")

# Around tenant `a`: its parent, its child, and names whose bytes are next to it in the store.
NEIGHBOURS = ("default", "a/child", "ab", "a-b", "a0")


class Shared(unittest.TestCase):
    """One etcd, one NATS, tenants a and b and, if the class asks for them, neighbours."""

    use_etcd = use_nats = True
    jetstream = False
    neighbours = ()
    view = "own"  # neighbours may be children; what a parent sees of them has tests of its own (*_view_*)
    longMessage = True
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack(cls.__name__)
        cls.addClassCleanup(cls.stack.close)
        cls.etcd = cls.stack.etcd() if cls.use_etcd else None
        extra = ("-js", "-sd", cls.stack.path("jetstream")) if cls.jetstream else ()
        cls.nats = cls.stack.nats(extra=extra) if cls.use_nats else None
        cls.a, cls.b = cls.sidecar("a"), cls.sidecar("b")
        cls.around = [cls.sidecar(n) for n in cls.neighbours]

    @classmethod
    def sidecar(cls, namespace, args=(), **kwargs):
        if "--view" not in args:
            args = ("--view", cls.view, *args)
        return cls.stack.sidecar(namespace, cls.etcd, cls.nats, args=args, **kwargs)

    @classmethod
    def tearDownClass(cls):
        if cls.etcd:
            check_stored_keys(cls.etcd)


class Listening:
    """A tenant, and with view subtree a parent of nobody, that listens to everything from now on; and a
    monitor on the shared server, which proves that there was something to hear."""

    def __init__(self, case):
        self.nats = case.nats
        self.sidecars = [case.sidecar("spy"), case.stack.sidecar("spy/sees", case.etcd, case.nats, args=("--view", "subtree"))]
        self.ears = [eavesdrop.Ear(s.nats, eavesdrop.EVERYTHING) for s in self.sidecars]
        self.monitor = eavesdrop.Ear(self.nats.addr, (">",))

    def judge(self, *heard_of):
        """heard_of: what the monitor must have heard, expressions."""
        for sidecar, ear in zip(self.sidecars, self.ears):
            heard = ear.end()
            if heard:
                raise AssertionError(f"{sidecar.namespace} heard {sorted(heard)[:10]}")
        subjects = self.monitor.end()
        for expression in heard_of:
            if not any(re.match(expression, s) for s in subjects):
                raise AssertionError(f"nothing like {expression} was said, of {len(subjects)} subjects")


def stored_keys(etcd):
    """Every key of the raw store, as bytes."""
    import base64
    import json
    done = real.etcdctl(etcd.url, "get", "", "--prefix", "--keys-only", "-w", "json")
    if done.returncode != 0:
        raise real.StackError("raw dump: " + done.stderr)
    return [base64.b64decode(kv["key"]) for kv in json.loads(done.stdout).get("kvs", [])]


def check_stored_keys(etcd):
    keys = stored_keys(etcd)
    bad = [k for k in keys if not STORED_KEY.fullmatch(k)]
    if bad:
        raise AssertionError(f"keys outside the layout of design.md 4.1: {bad[:10]}")
    return keys


def in_turn(clients, lines, between=None):
    """Every line to every client, line by line, so that all of them work in the same store at the
    same time; returns each client's answers."""
    transcripts = [[] for _ in clients]
    for line in lines:
        for client in clients:
            client.tell(line)
        for client, transcript in zip(clients, transcripts):
            transcript.append(f"{line}\n    {client.answer()}")
        if between:
            between(line)
    return transcripts
