# SPDX-License-Identifier: Apache-2.0
"""Who listens to everything while tests run: ears, and one tenant more on the NATS servers of every Stack.

The first sidecar of a Stack that dials a server of that Stack brings the eavesdropper: a tenant of a namespace of
its own, with view subtree, that subscribes to all it can name until the Stack ends. Then (judge) it must have heard
nothing but itself; and there was something to hear: the server has counted what was published, a tenant publishes
once more, and a monitor on the raw server hears that.

Why the monitor comes only then: on the raw server a subscription to everything answers for everybody, so that no
request would be told that nobody is there, and no pull or push consumer that its reader is gone. The eavesdropper
may listen all the time because its subscriptions lie in its own slice; a test that saw it would be a finding.
"""

import http.client
import json
import os
import socket
import threading

import rawnats
import stack as real

# All that a tenant can name; what of it is denied is denied. The inbox without a wildcard is for what JetStream delivers
# (bh.j…), which only such a subscription hears. No request is: those of its ancestors are meant for it.
EVERYTHING = ("_INBOX.leak", ">", "*.>", "*.*.*.*.*.>", "_INBOX.>", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$JS.EVENT.>", "$KV.>", "$O.>", "$SRV.>", "$SYS.>",
              "bh.>", "bh.e.a.~.~.~.>", "bh.*.*.*.*.*.>", "bh.r.>")
SIGN = b"there is something to hear"
NAME = "eavesdropper"


class Ear(threading.Thread):
    """Reads all the time, so that no server gives it up, and dials again when it was; keeps the subjects it heard."""

    def __init__(self, addr, patterns):
        super().__init__(daemon=True)
        self.addr, self.patterns = addr, patterns
        self.fence = b"the fence of an ear, " + os.urandom(8).hex().encode()
        self.subjects, self.fenced, self.ended, self.raw = set(), threading.Event(), threading.Event(), None
        self.dial()
        self.start()

    def dial(self):
        self.raw = raw = rawnats.Raw(self.addr)
        for sid, pattern in enumerate(self.patterns, 1):
            raw.send(f"SUB {pattern} {sid}\r\n")
        raw.flush()
        for m in raw.messages:
            self.hear(m)
        raw.socket.settimeout(None)

    def hear(self, m):
        if m.payload == self.fence:
            self.fenced.set()
        else:
            self.subjects.add(m.subject)

    def run(self):
        while not self.ended.is_set():
            try:
                if self.raw is None:
                    self.dial()
                m = self.raw.next()
                self.raw.messages.clear()
                if isinstance(m, rawnats.Message):
                    self.hear(m)
            except (rawnats.Closed, OSError, AssertionError):
                if self.raw is not None:
                    self.raw.close()
                self.raw = None
                self.ended.wait(0.1)  # until it is dialled again

    def end(self):
        """All that was said before has been heard; the subjects of it."""
        c = rawnats.Raw(self.addr)
        def once():
            c.publish("fence", self.fence)
            c.flush()
            return self.fenced.wait(0.05)
        real.wait_until(once, f"an ear at {self.addr} hears itself")
        c.close()
        return self.close()

    def close(self):
        self.ended.set()
        raw = self.raw
        try:
            if raw is not None:
                raw.socket.shutdown(socket.SHUT_RDWR)  # wakes the reader, who closes it
        except OSError:
            pass
        self.join(real.WAIT_S)
        return self.subjects


class Eavesdropper:
    def __init__(self, stack, upstream):
        """stack: borrows; upstream: what --nats-upstream says, of servers of that stack."""
        self.stack, self.upstream = stack, upstream
        self.sidecar = stack._start(real.Sidecar, NAME, stack.directory, NAME, None, upstream, args=("--view", "subtree"))
        try:
            self.ear = Ear(self.sidecar.nats, EVERYTHING)
        except (rawnats.Closed, OSError, AssertionError) as e:
            raise real.StackError(f"the eavesdropper cannot listen ({e!r}): tell the Stack why it goes unheard\n"
                                  + self.sidecar.tail()) from None

    def close(self):
        self.ear.close()

    def published(self):
        """By clients, on the servers that are there; None: none of them answers."""
        counts = []
        for server in self.stack.servers_of(self.upstream):
            try:
                page = http.client.HTTPConnection(server.monitor, timeout=5)
                page.request("GET", "/varz")
                counts.append(json.loads(page.getresponse().read())["in_msgs"])
                page.close()
            except (OSError, http.client.HTTPException, ValueError):
                pass
        return sum(counts) if counts else None

    def judge(self):
        """The test is over, its servers and sidecars still run."""
        published = self.published()
        try:
            if published:
                self.prove()
            heard = self.ear.end() if published is not None and self.sidecar.running() else self.ear.close()
        except (rawnats.Closed, AssertionError) as e:
            raise real.StackError(f"the eavesdropper's last questions: {e!r}") from None
        if heard:
            raise real.StackError(f"the eavesdropper heard of others: {sorted(heard)[:10]}")
        print(f"the eavesdropper heard nothing of {published or 0} messages", flush=True)

    def tenant(self):
        """A connection to a sidecar of another namespace, or None: those that are there take no plain ones."""
        for process in self.stack.processes:
            if not isinstance(process, real.Sidecar) or process is self.sidecar or not process.running() or \
                    process.upstream != self.upstream:
                continue
            try:
                c = rawnats.Raw(process.nats)
                c.flush()
                return c
            except (rawnats.Closed, OSError, AssertionError):
                pass
        return None

    def prove(self):
        tenant = self.tenant()
        if tenant is None:
            return
        monitor = rawnats.Raw(self.stack.servers_of(self.upstream)[0].addr)
        monitor.subscribe(">")
        def once():
            tenant.publish("sign", SIGN)
            tenant.flush()
            return any(m.payload == SIGN for m in monitor.drain())
        real.wait_until(once, "the monitor on the raw server hears a tenant")
        monitor.close()
        tenant.close()
