# SPDX-License-Identifier: Apache-2.0
"""What the tests share: two tenants and their neighbours on one etcd and one NATS, and the checks
that the raw stores hold nothing but design.md's layout."""

import re
import threading
import unittest

import rawnats
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


# All that a tenant can name; what of it is denied is denied.
EVERYTHING = (">", "*.>", "*.*.*.*.*.>", "_INBOX.>", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$JS.EVENT.>", "$KV.>", "$O.>", "$SRV.>", "$SYS.>",
              "bh.>", "bh.e.a.~.~.~.>", "bh.*.*.*.*.*.>", "bh.r.>")


class Ear(threading.Thread):
    """Reads all the time, so that no server gives it up; keeps subjects, and the messages of a tenant."""

    def __init__(self, addr, patterns):
        super().__init__(daemon=True)
        self.raw = rawnats.Raw(addr)
        for sid, pattern in enumerate(patterns, 1):
            self.raw.subscribe(pattern, str(sid))
        self.raw.socket.settimeout(None)
        self.subjects, self.fenced = set(), threading.Event()
        self.start()

    def run(self):
        try:
            while True:
                m = self.raw.next()
                self.raw.messages.clear()
                if isinstance(m, rawnats.Message):
                    self.subjects.add(m.subject)
                    if m.payload == b"the fence of an ear":
                        self.fenced.set()
        except (rawnats.Closed, OSError):
            pass

    def end(self, addr, subject):
        """All that was said before has been heard."""
        c = rawnats.Raw(addr)
        c.publish(subject, "the fence of an ear")
        c.flush()
        c.close()
        if not self.fenced.wait(real.WAIT_S):
            raise real.StackError("an ear went deaf")
        self.raw.close()
        return self.subjects - {subject}


class Listening:
    """A tenant, and with view subtree a parent of nobody, that listens to everything from now on; and a
    monitor on the shared server, which proves that there was something to hear."""

    def __init__(self, case):
        self.nats = case.nats
        self.sidecars = [case.sidecar("spy"), case.stack.sidecar("spy/sees", case.etcd, case.nats, args=("--view", "subtree"))]
        self.ears = [Ear(s.nats, EVERYTHING) for s in self.sidecars]
        self.monitor = Ear(self.nats.addr, (">",))

    def judge(self, *heard_of):
        """heard_of: what the monitor must have heard, expressions."""
        for sidecar, ear in zip(self.sidecars, self.ears):
            heard = ear.end(sidecar.nats, "fence")
            if heard:
                raise AssertionError(f"{sidecar.namespace} heard {sorted(heard)[:10]}")
        subjects = self.monitor.end(self.nats.addr, "fence")
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
