# SPDX-License-Identifier: Apache-2.0
"""For every ordered pair of namespaces, in both views: every form of subject, raw layout names and
JetStream's API included. Nothing crosses but events up and requests down."""

import json
import os
import random
import re
import unittest

import rawnats
import seeds
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


def source(file, pattern):
    """What the sidecar's own table names: a row that is added there is tried here."""
    with open(os.path.join(real.ROOT, "proxy/nats", file)) as text:
        found = sorted(set(re.findall(pattern, text.read(), re.M)))
    assert len(found) > 25, found
    return found


VERBS = source("js_api.c", r'^\s*\{(?:\.verb = )?"([A-Z._]+)"')
MEMBERS = source("js_schema.c", r'\{"(\w+)", JS_')
UNKNOWN = ("META.LEADER.STEPDOWN", "SERVER.REMOVE", "ACCOUNT.PURGE.X", "STREAM.TEMPLATE.CREATE", "STREAM.NOTHING", "CONSUMER", "stream.info")


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
        subject = subject.encode() if isinstance(subject, str) else subject
        client.send(b"PUB %b _INBOX.ask.%d %d\r\n%b\r\n" % (subject, self.number, len(body), body))
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

    # ---- every verb there is, and bytes of nobody's grammar ----

    def any_value(self, victim, depth=0):
        """What may stand in a member of a body: another's names, wherever."""
        rng = self.random
        stored, subjects = names(victim) + "SECRET", list(raw_forms(victim))
        kind = rng.randrange(8 if depth < 2 else 6)
        if kind == 6:
            return [self.any_value(victim, depth + 1) for _ in range(rng.randrange(3))]
        if kind == 7:
            return {m: self.any_value(victim, depth + 1) for m in rng.sample(MEMBERS, 3)}
        return rng.choice((stored, "SECRET", rng.choice(subjects), "~~" + names(victim) + "~D", "secret.x", f"bh.e.{tokens(victim)}.secret.x",
                           f"bh.*.{tokens(victim)}.>", ">", "bh.>", "D", "$JS.>", 1, True, None))

    def any_body(self, victim):
        rng = self.random
        body = {m: self.any_value(victim) for m in rng.sample(MEMBERS, rng.randrange(1, 5))}
        if rng.random() < 0.6:
            body |= {"stream_name": rng.choice((names(victim) + "SECRET", "SECRET")), "config": dict(body)}
        text = json.dumps(body)
        dice = rng.random()
        if dice < 0.1:
            text = text.replace("secret", "\\u0073ecret").replace("~", "\\u007e")
        elif dice < 0.2:
            text = text.replace('"stream_name"', '"\u017ftream_name"').replace('"name"', '"NAME"')
        elif dice < 0.3:
            text = text[:-1] + "," + json.dumps(body)[1:]
        data = bytearray(text.encode())
        if rng.random() < 0.3:
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    def any_request(self, victim):
        rng = self.random
        words = [rng.choice(("$JS.API.", "$JS.API.", "$JS.API.", "$JS.hub.API.")) + rng.choice(VERBS if rng.random() < 0.9 else UNKNOWN)]
        if rng.random() < 0.9:
            words.append(rng.choice((names(victim) + "SECRET", names(victim) + "SECRET", "~" + names(victim) + "SECRET", "SECRET", "*")))
            words += rng.choice(([], ["D"], ["D"], ["~~" + names(victim) + "~D"], ["D", f"bh.e.{tokens(victim)}.secret.x"], [f"bh.e.{tokens(victim)}.secret.x"]))
        subject = ".".join(words).encode()
        if rng.random() < 0.15:
            at = rng.randrange(len(subject))
            subject = subject[:at] + bytes((rng.choice((0x80, 0xff, 0x01, 0x7f, 0x25, 0x2e, 0x7e)),)) + subject[at + rng.randrange(2):]
        return subject, self.any_body(victim) if rng.random() < 0.7 else b""

    def secret(self, n):
        """A stream of this namespace, with something in it that is worth stealing."""
        c = self.raw(self.at[n, "subtree"].nats)
        c.subscribe("_INBOX.ask.*", sid="ask")
        for name in json.loads(self.ask(c, "$JS.API.STREAM.NAMES", fence=False))["streams"] or []:
            self.ask(c, "$JS.API.STREAM.DELETE." + name, fence=False)
        made = self.ask(c, "$JS.API.STREAM.CREATE.SECRET", json.dumps({
            "name": "SECRET", "subjects": ["secret.>"], "storage": "memory", "retention": "limits", "allow_direct": True}).encode(), fence=False)
        self.assertIn(b'"name":"SECRET"', made)
        self.assertIn(b'"seq":1', self.ask(c, "secret.x", f"<secret of {n}>".encode(), fence=False))
        c.close()

    def test_every_verb_of_the_table(self):
        """Random requests of every verb with another's names and hostile bytes: no word of another's comes back,
        but a descendant's where a listed stream is read, and nothing of others changes."""
        seed = seeds.seed("REDTEAM_SEED")
        self.random = random.Random(seed)
        for n in NAMESPACES:
            self.secret(n)
        keeper = self.raw(self.bus.addr)
        keeper.subscribe("_INBOX.ask.*", sid="ask")
        tried = told = closed = 0
        for (n, view), sidecar in self.at.items():
            before = self.state(keeper)
            self.assertLessEqual({names(m) + "SECRET" for m in NAMESPACES}, set(before))
            c = None
            for i in range(int(os.environ.get("REDTEAM_REQUESTS", "96"))):
                victim = self.random.choice([m for m in NAMESPACES if m != n])
                subject, body = self.any_request(victim)
                if c is None:
                    c = self.raw(sidecar.nats)
                    c.subscribe("_INBOX.ask.*", sid="ask")
                try:
                    text = self.ask(c, subject, body)
                except rawnats.Closed as e:  # its own connection, at worst
                    text, c = b"".join(e.args), None
                    closed += 1
                tried += 1
                for m in re.findall(rb"<secret of ([^>]*)>", text):
                    self.assertTrue(m.decode() == n or view == "subtree" and above(n, m.decode()), f"{n} ({view}): {subject} {body}: {text}")
                    told += m.decode() != n
            after = self.state(keeper)
            for name in before:
                if not re.fullmatch(re.escape(names(n)) + "[^~]*", name):
                    self.assertEqual(before[name], after.get(name), f"{n} ({view}) changed {name}")
            self.assertEqual([], [name for name in set(after) - set(before) if not name.startswith(names(n))], f"{n} ({view})")
            self.secret(n)
        print(f"{tried} requests of {len(VERBS)} verbs, {told} times a descendant was read, {closed} connections closed")

    def any_line(self, n, victim, number):
        """A line of the protocol about another's subjects, sometimes broken."""
        rng, mark = self.random, b"[%d]" % NAMESPACES.index(n)  # no byte that breaks a line is a digit
        form = rng.choice(list(raw_forms(victim)) + list(PLAIN) + [f"bh.*.{tokens(victim)}.>", f"bh.e.{tokens(victim)}.>"]).encode()
        line = rng.choice((
            b"SUB %b %d\r\n" % (form, number), b"SUB %b q %d\r\n" % (form, number), b"UNSUB %d\r\n" % number,
            b"PUB %b %d\r\n%b\r\n" % (form, len(mark), mark), b"PUB %b %b %d\r\n%b\r\n" % (form, form, len(mark), mark),
            b"HPUB %b 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (form, 12 + len(mark), mark),
            b"PUB x 0\r\n\r\nPUB %b %d\r\n%b\r\n" % (form, len(mark), mark),
            b"HPUB plain 12 %d\r\nNATS/1.0\r\n\r\nPUB %b 1\r\n%b\r\n" % (19 + len(form) + len(mark), form, mark),
            b'CONNECT {"verbose":false,"account":"%b","user":"%b","headers":true}\r\n' % (form, form)))
        if rng.random() < 0.5:
            data = bytearray(line)
            # A longer number that is cut off its subject would be the size of a payload that never ends.
            kept = {i for m in re.finditer(rb"[0-9]{3,}", line) for i in range(m.start() - 1, m.end() + 1)}
            places = [i for i in range(len(data)) if i not in kept]
            for _ in range(rng.randrange(1, 4)):
                data[rng.choice(places)] = rng.choice((0, 9, 10, 13, 32, 0x25, 0x2a, 0x2e, 0x3e, 0x7e, 0x80, 0xff))
            line = bytes(data)
        return line

    def test_hostile_lines(self):
        seed = seeds.seed("REDTEAM_SEED")
        self.random = random.Random(seed)
        ears = {}
        for where, sidecar in self.at.items():
            ears[where] = self.raw(sidecar.nats)
            for i, form in enumerate(PLAIN + (">",)):
                ears[where].subscribe(form, sid=str(i))
        said = closed = 0
        mouths = []
        for (n, view), sidecar in self.at.items():
            for turn in range(20):
                c = self.raw(sidecar.nats)
                for i in range(4):
                    c.send(self.any_line(n, self.random.choice(NAMESPACES), i))
                    said += 1
                try:
                    c.send(b"PING\r\n" * 40)  # a line or a payload that is broken swallows some of them
                    c.until(b"PONG")
                except (rawnats.Closed, ConnectionResetError, BrokenPipeError):
                    closed += 1
                else:
                    mouths.append(((n, view), c))
        for (n, view), ear in ears.items():  # and everybody says something that may be heard
            for form in PLAIN + tuple(f for m in NAMESPACES for f in raw_forms(m)):
                ear.publish(form, f"[{NAMESPACES.index(n)}]")
            ear.flush()
        heard = 0
        for (n, view), ear in [*ears.items(), *mouths]:
            ear.send("SUB _INBOX.end.of.it end\r\nPUB _INBOX.end.of.it 0\r\n\r\n")
            try:
                while getattr(ear.next(), "sid", None) != "end":
                    pass
            except rawnats.Closed:
                pass
            for m in ear.messages:
                for number in re.findall(rb"\[(\d)\]", m.payload):
                    origin, words = NAMESPACES[int(number)], f"{n} ({view}) heard {m}"
                    self.assertTrue(origin == n or above(origin, n) or view == "subtree" and above(n, origin), words)
                    heard += 1
        print(f"{said} lines, {closed} connections closed, {heard} messages heard where they may be")
        self.assertGreater(heard, 0)

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
            self.secret(n)
            c = self.raw(sidecar.nats)
            c.subscribe("_INBOX.ask.*", sid="ask")
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
