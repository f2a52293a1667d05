# SPDX-License-Identifier: Apache-2.0
"""Who the sidecar is to a NATS server: user, token, nkey, JWT; files that change; never the application."""

import json
import os
import unittest

import nkeys
import rawnats
import stack as real

OTHERS = "what these servers ask of a sidecar changes, or is meant for the namespace a alone"

def server(stack, name, text):
    config = stack.path(name + ".conf")
    with open(config, "w") as f:
        f.write(text)
    return stack.nats(name, extra=("-c", config))


def write(path, text):
    """Whole, as Kubernetes replaces files."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


class Auth(unittest.TestCase):
    def works(self, sidecar):
        c = rawnats.Raw(sidecar.nats, '{"verbose":false,"user":"app","pass":"app","jwt":"x","nkey":"y","sig":"z"}')
        try:
            for hidden in ("nonce", "auth_required"):
                self.assertNotIn(hidden, c.info)
            c.subscribe("x")
            c.publish("x", "1")
            self.assertEqual([m.payload for m in c.drain()], [b"1"])
        finally:
            c.close()

    def refused(self, sidecar):
        c = rawnats.Raw(sidecar.nats)
        c.send("PING\r\n")
        lines = c.until_closed()
        c.close()
        self.assertTrue(any(b"Authorization Violation" in line for line in lines), lines)

    def test_an_nkey(self):
        with real.Stack("auth", unheard=OTHERS) as stack:
            first, second = (nkeys.Key(nkeys.USER, stack.directory) for _ in range(2))
            bus = server(stack, "nkey", "authorization { users: [{nkey: %s}] }" % second.public)
            path = stack.path("user.nk")
            write(path, first.seed + "\n")
            sidecar = stack.sidecar("a", nats=bus, args=("--nats-creds", path))
            self.refused(sidecar)
            write(path, "# the second one\n" + second.seed)
            self.works(sidecar)
            write(path, "rubbish")
            self.works(sidecar)
            self.assertIn("neither a credentials file", sidecar.log())
            for secret in (first.seed, second.seed, "rubbish"):
                self.assertNotIn(secret, sidecar.log())

    def test_a_credentials_file(self):
        with real.Stack("auth", unheard=OTHERS) as stack:
            operator, account, other = (nkeys.Key(kind, stack.directory)
                                        for kind in (nkeys.OPERATOR, nkeys.ACCOUNT, nkeys.ACCOUNT))
            jwt = operator.jwt(account.public, "A", {"type": "account", "limits": nkeys.LIMITS})
            bus = server(stack, "jwt", "operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n" % (
                operator.jwt(operator.public, "O", {"type": "operator"}), account.public, jwt))
            path = stack.path("user.creds")
            write(path, nkeys.creds(account, stack.directory, "one"))
            sidecar = stack.sidecar("a", nats=bus, args=("--nats-creds", path))
            self.works(sidecar)
            stands = rawnats.Raw(sidecar.nats)
            stands.flush()
            write(path, nkeys.creds(other, stack.directory, "of an unknown account"))
            self.refused(sidecar)
            stands.flush()  # it said who it is long ago
            stands.close()
            write(path, nkeys.creds(account, stack.directory, "two"))
            self.works(sidecar)

    def test_a_token_and_a_password_in_files(self):
        with real.Stack("auth", unheard=OTHERS) as stack:
            for name, text, args in (
                    ("token", 'authorization { token: "sesame" }', ()),
                    ("password", 'authorization { user: u, password: "sesame" }', ("--nats-user", "u"))):
                with self.subTest(name):
                    bus = server(stack, name, text)
                    path = stack.path(name)
                    write(path, "wrong\n")
                    sidecar = stack.sidecar("a", nats=bus, args=(*args, f"--nats-{name}-file", path))
                    self.refused(sidecar)
                    write(path, "sesame\n")
                    self.works(sidecar)
                    os.unlink(path)
                    self.works(sidecar)
                    self.assertNotIn("sesame", sidecar.log())

    def test_what_the_server_does_not_permit_is_said_in_the_applications_names(self):
        """The same rules on the plain subjects of a server of one's own, and on those of the namespace."""
        def rules(prefix):
            return ('authorization { users: [{user: u, password: p, permissions: {'
                    'publish: {deny: ["%s", "%s"]}, subscribe: {deny: ["%s", "%s"]}}}] }'
                    % tuple(prefix + s for s in ("secret.>", "replies.no", "secret.>", "grouped q")))
        def lines(addr):
            c = rawnats.Raw(addr, '{"verbose":false,"headers":true,"no_responders":true,"user":"u","pass":"p"}')
            c.send("SUB secret.x 1\r\nSUB secret.x q 2\r\nPUB secret.y 1\r\nx\r\nPUB fine replies.no 1\r\nx\r\nSUB fine 3\r\nPUB fine 1\r\ny\r\n")
            c.flush()
            heard = [(m.subject, m.payload) for m in c.messages]
            said = list(c.said)
            c.close()
            return said, heard
        with real.Stack("auth", unheard=OTHERS) as stack:
            private = server(stack, "private", rules(""))
            shared = server(stack, "shared", rules("bh.e.a.~.~.~."))
            sidecar = stack.sidecar("a", nats=shared, args=("--nats-user", "u"), env={"BULKHEAD_NATS_PASSWORD": "p"})
            want, got = lines(private.addr), lines(sidecar.nats)
            self.assertEqual(want, got)
            self.assertGreaterEqual(sum(b"Permissions Violation" in line for line in want[0]), 3, want)

    def test_without_a_permission_for_advisories_everything_is_heard_but_those(self):
        rules = ('authorization { users: [{user: u, password: p, permissions: {publish: "bh.*.a.~.~.~.>", '
                 'subscribe: ["bh.*.a.~.~.~.>"]}}] }')
        with real.Stack("auth", unheard=OTHERS) as stack:
            shared = server(stack, "shared", rules)
            sidecar = stack.sidecar("a", nats=shared, args=("--nats-user", "u"), env={"BULKHEAD_NATS_PASSWORD": "p"})
            for verbose in ("false", "true"):
                c = rawnats.Raw(sidecar.nats, '{"verbose":%s,"headers":true,"no_responders":true}' % verbose)
                c.send("SUB > 1\r\nSUB *.> g 2\r\nSUB $JS.EVENT.ADVISORY.> 3\r\nPUB fine 1\r\ny\r\n")
                c.flush()
                errors = [line for line in c.said if line.startswith(b"-ERR")]
                self.assertEqual(["fine"], [m.subject for m in c.messages if m.sid == "1"])
                self.assertEqual([b"-ERR 'Permissions Violation'"], errors)
                self.assertEqual(5 if verbose == "true" else 0, c.said.count(b"+OK"))
                c.close()
            self.assertIn('reason="js_event_permission"} 4', real.http_get(sidecar.health, "/metrics")[1])

    def test_what_is_wrong_is_said_at_the_start(self):
        with real.Stack("auth", unheard=OTHERS) as stack:
            path = stack.path("bad")
            for text, why in (("", "neither a credentials file"), ("SUABC", "damaged"), ("x" * 70000, "larger")):
                write(path, text)
                done = real.run([real.sidecar_binary(), "check", "--nats-upstream", "127.0.0.1:1",
                                 "--nats-creds", path])
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(why, done.stderr + done.stdout)
            done = real.run([real.sidecar_binary(), "check", "--nats-upstream", "127.0.0.1:1",
                             "--nats-token-file", path + ".none"])
            self.assertEqual(done.returncode, 2, done)


if __name__ == "__main__":
    unittest.main(verbosity=2)
