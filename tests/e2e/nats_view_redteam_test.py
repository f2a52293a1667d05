# SPDX-License-Identifier: Apache-2.0
"""For every ordered pair of namespaces, in both views: every form of subject, raw layout names and
JetStream's API included. Nothing crosses but events up and requests down."""

import json
import re
import unittest

import rawnats
import stack as real

NAMESPACES = ("default", "a", "a/b", "a/b/d", "a/c", "z", "ab", "a-b", "a.b")
REQUEST = "b.gen-0123456789abcdef"
PLAIN = ("plain", "namespace.x", "_INBOX.x", "_INBOX.x.1", REQUEST, "namespace.g-0123456789ab", "$SRV.PING", "$KV.b.k", "$O.b.M.x")
WILD = (">", "*", "*.>", "*.*", "_INBOX.>", "namespace.>", "namespace.*", "$SRV.>", "bh.>", "bh.*.*.*.*.*.>", "bh.e.>", "*.*.*.*.*.*.>",
        "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$JS.ACK.>", "$O.>", "_INBOX.*.*")


def path(namespace):
    return () if namespace == "default" else tuple(namespace.split("/"))


def above(a, b):
    return len(path(a)) < len(path(b)) and path(b)[:len(path(a))] == path(a)


def tokens(namespace):
    segments = [s.replace(".", "%2E") for s in path(namespace)]
    return ".".join(segments + ["~"] * (4 - len(segments)))


def names(namespace):
    return "".join(s.replace(".", "%2E") + "~" for s in path(namespace)) + "~"


def raw_forms(namespace):
    """The stored names of another namespace, as an application may write them."""
    for form in ("bh.e.{}.plain", "bh.e.{}.namespace.x", "bh.e.{}._INBOX.x", "bh.d.{}." + REQUEST, "bh.d.{}.$SRV.PING", "bh.j.{}._INBOX.x"):
        yield form.format(tokens(namespace))
    yield f"bh.r.{names(namespace)}.N.1.1"


class RedTeam(unittest.TestCase):
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.stack = real.Stack("redteam")
        cls.addClassCleanup(cls.stack.close)
        cls.bus = cls.stack.nats(extra=("-js", "-sd", cls.stack.path("jetstream")))
        cls.at = {}
        for view in ("subtree", "own"):
            for n in NAMESPACES:
                cls.at[n, view] = cls.stack.sidecar(n, None, cls.bus, args=("--view", view, "--view-streams", "SECRET,OBJ_*"))

    def raw(self, addr):
        connection = rawnats.Raw(addr)
        self.addCleanup(connection.close)
        return connection

    def test_subjects(self):
        ears, mouths = {}, {}
        for where, sidecar in self.at.items():
            ears[where], mouths[where] = self.raw(sidecar.nats), self.raw(sidecar.nats)
            lines = []
            forms = PLAIN + WILD + tuple(f for n in NAMESPACES for f in raw_forms(n))
            for i, form in enumerate(forms):
                lines.append(f"SUB {form} {2 * i}\r\nSUB {form} q{i} {2 * i + 1}\r\n")
            ears[where].send("".join(lines))
            ears[where].flush()
        sent = 0
        for (n, view), mouth in mouths.items():
            for form in PLAIN + tuple(f for m in NAMESPACES for f in raw_forms(m)):
                mouth.publish(form, f"{n}|{view}|{form}", reply=f"_INBOX.reply.{sent}")
                sent += 1
            mouth.flush()
        up = down = own = 0
        for (n, view), ear in ears.items():
            for m in ear.drain():
                if m.headers:
                    continue
                source, source_view, form = m.payload.decode().split("|")
                words = f"{n} ({view}) heard {m.subject} of {source} ({source_view})"
                self.assertEqual(form, m.subject, words)
                is_request = form in (REQUEST, "$SRV.PING", "namespace.g-0123456789ab")
                if source == n:
                    own += 1
                elif above(n, source):
                    self.assertEqual("subtree", view, words)
                    self.assertTrue(form.startswith(("_INBOX.", "namespace.")), words)
                    self.assertFalse(is_request and source_view == "subtree", words)
                    up += 1
                else:
                    self.assertTrue(above(source, n), words)
                    self.assertTrue(is_request and source_view == "subtree", words)
                    down += 1
        print(f"{sent} messages: {own} heard by their own, {up} by ancestors, {down} by descendants, none by others")
        for count in (own, up, down):
            self.assertGreater(count, 0)

    def ask(self, client, subject, body=b"", fence=True):
        """Every word that comes back, as one text. A later request's answer ends the waiting, because
        some questions get none; without a fence, the answer itself does. One that comes later still is
        read, and judged, with the next."""
        self.number = getattr(self, "number", 0) + 1
        client.publish(subject, body, reply=f"_INBOX.ask.{self.number}")
        last = "_INBOX.ask.fence" if fence else f"_INBOX.ask.{self.number}"
        if fence:
            client.publish("$JS.API.INFO", b"", reply=last)
        text = b""
        while True:
            m = client.next()
            if isinstance(m, bytes):
                text += m
                continue
            text += m.headers + m.payload
            if m.subject == last:
                return text

    def state(self, keeper):
        """Everything of all streams, as the server has it."""
        def answer(subject, body=b""):
            return json.loads(self.ask(keeper, "$JS.API." + subject, body, fence=False))
        found = {}
        for name in answer("STREAM.NAMES")["streams"]:
            info = answer("STREAM.INFO." + name)
            found[name] = (info["config"], {k: v for k, v in info["state"].items() if k != "consumer_count"},
                           sorted(c for c in answer("CONSUMER.NAMES." + name)["consumers"] if "~" not in c))
        return found

    def test_streams(self):
        for (n, view), sidecar in self.at.items():
            if view == "own":
                continue
            c = self.raw(sidecar.nats)
            c.subscribe("_INBOX.ask.*", sid="ask")
            made = self.ask(c, "$JS.API.STREAM.CREATE.SECRET", json.dumps({
                "name": "SECRET", "subjects": ["secret.>"], "storage": "memory", "retention": "limits", "allow_direct": True}).encode(), fence=False)
            self.assertIn(b'"name":"SECRET"', made)
            self.assertIn(b'"seq":1', self.ask(c, "secret.x", f"<secret of {n}>".encode(), fence=False))
            self.ask(c, "$JS.API.CONSUMER.DURABLE.CREATE.SECRET.D", json.dumps({
                "stream_name": "SECRET", "config": {"durable_name": "D", "ack_policy": "explicit"}}).encode(), fence=False)
        keeper = self.raw(self.bus.addr)
        keeper.subscribe("_INBOX.ask.*", sid="ask")
        before = self.state(keeper)
        self.assertEqual(len(NAMESPACES), len(before))
        tried = 0
        for (n, view), sidecar in self.at.items():
            c = self.raw(sidecar.nats)
            c.subscribe("_INBOX.ask.*", sid="ask")
            for victim in NAMESPACES:
                if victim == n:
                    continue
                for name in (names(victim) + "SECRET", "~" + names(victim) + "SECRET"):
                    for verb, body in self.requests(name, tokens(victim)):
                        text = self.ask(c, "$JS.API." + verb, body)
                        tried += 1
                        for told in re.findall(rb"<secret of ([^>]*)>", text):
                            self.assertEqual(n.encode(), told, f"{n} ({view}): {verb} {body}")
                        self.assertNotIn(b'"seq":1', text, f"{n} ({view}): {verb}")
            # By its own name: own, and never another's, whatever the view.
            text = self.ask(c, "$JS.API.DIRECT.GET.SECRET.secret.x", fence=False)
            self.assertIn(f"<secret of {n}>".encode(), text)
            for victim in NAMESPACES:
                self.assertTrue(victim == n or f"<secret of {victim}>".encode() not in text)
            self.assertNotIn(b"~", self.ask(c, "$JS.API.STREAM.NAMES").replace(b"~~", b"~"), f"{n}: names are stripped")
        self.assertEqual(before, self.state(keeper), "nobody changed anything of anybody's")
        print(f"{tried} requests to others' streams: none answered")

    @staticmethod
    def requests(name, victim):
        subject = f"bh.e.{victim}.secret.x"
        def body(**kwargs):
            return json.dumps(kwargs).encode()
        yield "STREAM.INFO." + name, b""
        yield "STREAM.PURGE." + name, b""
        yield "STREAM.DELETE." + name, b""
        yield "STREAM.MSG.GET." + name, body(seq=1)
        yield "STREAM.MSG.GET." + name, body(last_by_subj=subject)
        yield "STREAM.MSG.DELETE." + name, body(seq=1)
        yield "STREAM.UPDATE." + name, body(name=name, subjects=["x"])
        yield f"DIRECT.GET.{name}.{subject}", b""
        yield "DIRECT.GET." + name, body(seq=1)
        yield "CONSUMER.NAMES." + name, b""
        yield "CONSUMER.INFO." + name + ".D", b""
        yield "CONSUMER.DELETE." + name + ".D", b""
        yield "CONSUMER.MSG.NEXT." + name + ".D", b"1"
        yield "CONSUMER.CREATE." + name, body(stream_name=name, config={"ack_policy": "none"})
        yield "CONSUMER.CREATE.SECRET", body(stream_name=name, config={"ack_policy": "none", "deliver_subject": f"bh.e.{victim}.x"})
        yield "STREAM.PURGE.SECRET", body(filter=subject)
        yield f"DIRECT.GET.SECRET.{subject}", b""
        yield "STREAM.SNAPSHOT." + name, body(deliver_subject="_INBOX.ask.snap")


if __name__ == "__main__":
    unittest.main(verbosity=2)
