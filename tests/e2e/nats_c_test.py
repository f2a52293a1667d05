# SPDX-License-Identifier: Apache-2.0
"""NATS by nats.c: every tenant hears what it would hear on a private server.

One story, line by line in turn, on a private nats-server and through the sidecars of two tenants and
their neighbours on a shared one; all transcripts must be equal. Meanwhile a monitor on the shared
server hears everything and proves that there was something to keep apart.
"""

import re
import unittest

import cases
import rawnats

STORY = r'''
sub all >
sub literal foo.x
sub star foo.*
sub tail foo.>
pub foo.x one
next all
next literal
next star
next tail
pub foo.x.y two words
next all
next tail
pub foo 3
next all
hpub foo.x Key Value with a header
next all
next literal
next star
next tail
pub $odd.x dollars are ordinary
next all
pub bh.e.b.~.~.~.foo.x looks stored
next all
pub %2e~-_ other bytes
next all
sub service svc
sub answers my.inbox
pubreply svc my.inbox question
next all
next service
answer service yes
next answers
next all
sub two max.two
max two 2
pub max.two 1
pub max.two 2
pub max.two 3
next two
next two
next two
next all
next all
next all
sub drained dr
pub dr 1
flush
drain drained
next drained
complete drained
pub dr 2
next all
next all
sub gone go
unsub gone
pub go nobody but the one who hears all
next all
sub q work grp
pub work 1
next q
next all
big big.x 1048576
next all
big big.x 1048577
pub empty.x 
next all
sub bad foo..bar
sub bad2 .foo
errors
'''


def lines(text):
    return [line for line in text.splitlines() if line]


class NatsC(cases.Shared):
    use_etcd = False
    neighbours = cases.NEIGHBOURS

    def test_the_story_is_that_of_a_private_server(self):
        private = self.stack.nats("private-nats")
        monitor = rawnats.Raw(self.nats.addr)
        self.addCleanup(monitor.close)
        monitor.subscribe(">")
        clients = [self.stack.nats_client(u) for u in
                   [private.url] + [s.nats_url for s in (self.a, self.b, *self.around)]]
        transcripts = cases.in_turn(clients, lines(STORY))
        for name, transcript in zip(("a", "b", *self.neighbours), transcripts[1:]):
            self.assertEqual("\n".join(transcripts[0]), "\n".join(transcript), name)
        for client in clients:
            client.popen.stdin.close()
            client.popen.wait(15)
        subjects = [m.subject for m in monitor.drain()]
        self.assertGreater(len(subjects), 15 * len(clients))
        for subject in subjects:
            self.assertRegex(subject, re.compile(f"^{cases.STORED_SUBJECT.pattern}$"))
        for namespace in ("a.~.~.~", "b.~.~.~", "~.~.~.~", "a.child.~.~", "ab.~.~.~"):
            self.assertIn(f"bh.e.{namespace}.foo.x", subjects)

    def test_requests_between_connections_of_one_namespace(self):
        def pair(sidecar):
            return self.stack.nats_client(sidecar.nats_url), self.stack.nats_client(sidecar.nats_url)
        for sidecar, who in ((self.a, "a"), (self.b, "b")):
            server, client = pair(sidecar)
            self.assertEqual("OK", server.ask("sub s help"))
            client.tell("req help me")
            self.assertEqual('GOT help (reply to _INBOX) "me"', server.ask("next s"))
            self.assertEqual("OK", server.ask(f"answer s {who} answers"))
            self.assertEqual(f'GOT _INBOX "{who} answers"', client.answer())
            other = self.stack.nats_client((self.b if sidecar is self.a else self.a).nats_url)
            self.assertEqual("NO RESPONDERS", other.ask("req help me"))
            self.assertEqual("OK", server.ask("unsub s"))

    def test_jetstream_is_clearly_not_available(self):
        client = self.stack.nats_client(self.a.nats_url)
        self.assertEqual("NO RESPONDERS", client.ask("req $JS.API.INFO "))
        self.assertRegex(client.ask("stream ORDERS orders.>"), r"^ERR ")
        self.assertEqual("OK", client.ask("flush"))


class NatsCJetStream(cases.Shared):
    use_etcd = False
    jetstream = True

    def test_tenants_make_the_same_stream(self):
        clients = [self.stack.nats_client(s.nats_url) for s in (self.a, self.b)]
        for client in clients:
            self.assertEqual("OK", client.ask("stream ORDERS orders.>"))
            self.assertRegex(client.ask("req orders.1 x"), r'^GOT _INBOX "\{"stream":"ORDERS"')


if __name__ == "__main__":
    unittest.main(verbosity=2)
