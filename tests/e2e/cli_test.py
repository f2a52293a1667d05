# SPDX-License-Identifier: Apache-2.0
"""The command line (design.md 3.8, 8.1): what people and scripts rely on."""

import json
import os
import re
import signal
import socket
import subprocess
import unittest

import cases
import stack as real


def bulkhead(*args, **kwargs):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("BULKHEAD_", "DYN"))}
    env.update(kwargs.pop("env", {}))
    return subprocess.run([real.sidecar_binary(), *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, timeout=60, **kwargs)


class CommandLine(cases.Shared):
    def places(self):
        return ("--etcd-upstream", self.etcd.url, "--nats-upstream", self.nats.url)

    # usage

    def test_version_and_help(self):
        self.assertRegex(bulkhead("--version").stdout, r"^bulkhead \d+\.\d+\.\d+")
        for args in (("--help",), ("serve", "--help"), ("run", "--help"), ("check", "--help")):
            done = bulkhead(*args)
            self.assertEqual((0, ""), (done.returncode, done.stderr), args)
            self.assertIn("usage:", done.stdout)

    def refused(self, *args, **kwargs):
        done = bulkhead(*args, **kwargs)
        self.assertEqual(2, done.returncode, (args, done.stdout, done.stderr))
        self.assertEqual("", done.stdout)
        return done.stderr

    def test_unknown_words_name_the_nearest(self):
        self.assertIn("--namespace", self.refused("serve", "--namspace", "a"))
        self.assertIn("--etcd-upstream", self.refused("serve", "--etcd-upstrem=http://127.0.0.1:1"))
        self.assertTrue(self.refused("sreve"))
        self.assertTrue(self.refused("serve", "operand"))
        path = self.stack.path("config.json")
        for text, named in (('{"namspace": "a"}', "namespace"), ('{"namespace": 5}', "namespace"), ('{"namespace": "a"', ""), ("[]", ""), ("", "")):
            with open(path, "w") as f:
                f.write(text)
            message = self.refused("serve", "--config", path)
            self.assertIn(path, message)
            self.assertIn(named, message)
        self.assertIn("/no/such/file", self.refused("check", "--config", "/no/such/file"))

    def test_namespaces_outside_the_rules_name_input_position_and_rule(self):
        for name, position in (("a//b", 2), ("/a", 0), ("a/", 1), ("a/../b", 2), (".a", 0), ("a.", 1), ("a b", 1), ("a/b/c/d/e", 8),
                               ("é", 0), ("x" * 64, 63), ("a\tb", 1), ("a/b\n", 3), ("default/", 7)):
            message = self.refused("serve", "--namespace", name, *self.places())
            self.assertRegex(message, rf"byte {position}\b", name)
            self.assertIn(repr(name.encode())[2:-1].replace("\\t", "\\x09").replace("\\n", "\\x0a")[:20], message)
            self.assertGreater(len(message.split()), 6, message)
            self.assertEqual(message.count("\n"), 1, "one line")
        self.assertIn("a//b", self.refused("serve", *self.places(), env={"BULKHEAD_NAMESPACE": "a//b"}))

    def test_values_that_are_none(self):
        for args in (("--etcd-upstream", "ftp://x"), ("--etcd-listen", "nowhere"), ("--nats-listen", "127.0.0.1:99999"),
                     ("--view", "all"), ("--log-level", "loud"), ("--ready-fd", "x"), ("--namespace",)):
            self.assertTrue(self.refused("serve", *args), args)

    # precedence

    def test_flags_over_environment_over_file_over_defaults(self):
        path = self.stack.path("layers.json")
        with open(path, "w") as f:
            json.dump({"namespace": "of-file", "log-level": "debug", "etcd-upstream": "http://127.0.0.1:1"}, f)
        def effective(*args, **env):
            done = bulkhead("check", *args, env=env)
            self.assertEqual(0, done.returncode, done.stderr)
            return done.stdout
        self.assertRegex(effective("--config", path), r"(?m)^namespace = of-file \(.*file.*\)$")
        self.assertRegex(effective("--config", path, BULKHEAD_NAMESPACE="of-env"), r"(?m)^namespace = of-env \(.*environment.*\)$")
        self.assertRegex(effective("--config", path, "--namespace", "of-flag", BULKHEAD_NAMESPACE="of-env"),
                         r"(?m)^namespace = of-flag \(.*flag.*\)$")
        self.assertRegex(effective("--etcd-upstream", "http://127.0.0.1:1"), r"(?m)^namespace = default \(.*default.*\)$")
        # Dynamo's own variables come last; DYN_NAMESPACE=dynamo is no claim.
        self.assertIn("namespace = of-file", effective("--config", path, DYNAMO_NAMESPACE="x"))
        self.assertIn("namespace = team/x", effective("--etcd-upstream", "http://127.0.0.1:1", DYNAMO_NAMESPACE="team/x", DYN_NAMESPACE="y"))
        self.assertIn("namespace = y", effective("--etcd-upstream", "http://127.0.0.1:1", DYN_NAMESPACE="y"))
        self.assertIn("namespace = default", effective("--etcd-upstream", "http://127.0.0.1:1", DYN_NAMESPACE="dynamo"))
        secret = effective("--nats-upstream", "nats://127.0.0.1:1", BULKHEAD_NATS_USER="u", BULKHEAD_NATS_PASSWORD="hunter2")
        self.assertNotIn("hunter2", secret)
        self.assertIn("nats-password", secret)

    def test_check_explains_a_key(self):
        def explained(key, view):
            done = bulkhead("check", "--etcd-upstream", "http://127.0.0.1:1", "--namespace", "a/b", "--view", view, "--key", key)
            self.assertEqual(0, done.returncode, done.stderr)
            return done.stdout[done.stdout.index("etcd key"):]
        seen = explained("models/x", "subtree")
        self.assertIn('stored as "bh/d/a/b.models/x"', seen)
        self.assertIn("the nearest descendant's", seen)
        self.assertRegex(seen, "(?s)seen from a, .*seen from default, ")
        self.assertIn("alone: the view of etcd is own", explained("models/x", "own"))
        self.assertIn("no prefix of view-keys", explained(r"locks/x", "subtree"))
        self.assertIn("a Txn and all that it reads", seen)

    def test_each_plane_may_have_a_view_of_its_own(self):
        for args, etcd_is_own, nats_is_own in (((), 0, 0), (("--view", "own"), 1, 1), (("--etcd-view", "own"), 1, 0),
                                               (("--nats-view", "own"), 0, 1), (("--nats-view", "subtree", "--view", "own"), 1, 0)):
            done = bulkhead("check", "--etcd-upstream", "http://127.0.0.1:1", "--nats-upstream", "nats://127.0.0.1:1",
                            "--namespace", "a", "--key", "models/x", "--subject", "namespace.x", *args)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual(etcd_is_own, "alone: the view of etcd is own" in done.stdout, args)
            self.assertEqual(nats_is_own, "events of this namespace and all descendants" not in done.stdout, args)

    def test_check_explains_a_subject_and_a_stream(self):
        def explained(view, *args):
            done = bulkhead("check", "--nats-upstream", "nats://127.0.0.1:1", "--namespace", "a/b", "--view", view, *args)
            self.assertEqual(0, done.returncode, done.stderr)
            return done.stdout[done.stdout.index("\nnamespace a/b in the stores"):]
        request = "b.gen-0123456789abcdef"
        seen = explained("subtree", "--subject", request)
        self.assertIn("class down", seen)
        self.assertIn(f'PUB goes to "bh.d.a.b.~.~.{request}"', seen)
        self.assertEqual(4, seen.count("SUB listens to"))
        self.assertIn(f'PUB goes to "bh.e.a.b.~.~.{request}"', explained("own", "--subject", request))
        seen = explained("subtree", "--subject", "namespace.x")
        self.assertIn('SUB listens to "bh.e.a.b.*.*.namespace.x": events of this namespace and all descendants', seen)
        self.assertRegex(seen, "(?s)and by a, .*and by default, ")
        self.assertEqual(1, explained("own", "--subject", "plain").count("SUB listens to"))
        # What push consumers of members with view subtree deliver, besides.
        self.assertEqual(2, explained("own", "--subject", "namespace.x").count("SUB listens to"))
        self.assertIn("denied", explained("own", "--subject", "$SYS.>"))
        seen = explained("subtree", "--stream", "OBJ_tiny")
        self.assertIn('stored as "a~b~~OBJ_tiny"', seen)
        self.assertIn('the nearest descendant', seen)
        self.assertIn("no pattern of view-streams", explained("subtree", "--stream", "ORDERS"))
        self.assertEqual(2, bulkhead("check", "--nats-upstream", "nats://127.0.0.1:1", "--subject", "a..b").returncode)

    # serve

    def test_sigterm_ends_with_status_0_whatever_is_open(self):
        sidecar = self.sidecar("term")
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask("open w Watch.Watch")
        client.ask('send w create_request { key "x" }')
        client.ask("recv w")
        ear = self.stack.nats_client(sidecar.nats_url)
        ear.ask("sub s >")
        sidecar.finish()
        self.assertEqual("END", client.ask("recv w"))
        self.assertRegex(client.ask("status w"), "^Unavailable ")
        for addr in (sidecar.etcd, sidecar.nats, sidecar.health):
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(tuple(addr.split(":")))

    def test_sigint_ends_too(self):
        sidecar = self.sidecar("int")
        self.assertEqual(0, sidecar.stop(signal.SIGINT))

    def test_a_port_in_use_is_an_error_that_names_it(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = "127.0.0.1:%d" % taken.getsockname()[1]
            for plane in ("etcd", "nats"):
                done = bulkhead("serve", "--namespace", "a", *self.places(), "--etcd-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
                                f"--{plane}-listen", place)
                self.assertEqual(2, done.returncode, done.stderr)  # configuration: it never ran
                self.assertIn(place, done.stderr)
                self.assertNotIn("ready ", done.stdout)

    def test_ready_fd_gets_one_byte(self):
        reader, writer = os.pipe()
        process = subprocess.Popen([real.sidecar_binary(), "serve", "--namespace", "fd", *self.places(), "--etcd-listen", "127.0.0.1:0",
                                    "--nats-listen", "127.0.0.1:0", "--ready-fd", str(writer)], pass_fds=[writer],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.close(writer)
        self.addCleanup(process.stdout.close)
        self.assertEqual(1, len(os.read(reader, 16)))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(real.WAIT_S))
        self.assertEqual(b"", os.read(reader, 16))
        os.close(reader)
        self.assertRegex(process.stdout.read(), rb"^ready etcd=127.0.0.1:\d+ nats=127.0.0.1:\d+\n$")

    def test_a_plane_without_an_upstream_is_off(self):
        sidecar = self.stack.sidecar("half", self.etcd, None)
        self.assertIsNone(sidecar.nats)
        self.assertEqual(0, real.etcdctl(sidecar.etcd_url, "put", "k", "v").returncode)
        sidecar.finish()

    # run

    def run_inside(self, namespace, *command, args=(), **kwargs):
        return bulkhead("run", "--namespace", namespace, *self.places(), *args, "--", *command, **kwargs)

    def test_run_sets_the_variables(self):
        done = self.run_inside("team-a", "env", env={"DYN_NAMESPACE": "whatever", "ETCD_ENDPOINTS": "http://elsewhere:1", "KEPT": "yes"})
        self.assertEqual(0, done.returncode, done.stderr)
        env = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        for name in ("ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS"):
            self.assertRegex(env[name], r"^http://127\.0\.0\.1:\d+$")
        for name in ("NATS_SERVER", "NATS_URL"):
            self.assertRegex(env[name], r"^nats://127\.0\.0\.1:\d+$")
        self.assertEqual(("team-a", "dynamo", "yes"), (env["DYNAMO_NAMESPACE"], env["DYN_NAMESPACE"], env["KEPT"]))
        self.assertNotIn("ready ", done.stdout, "standard output is the command's")
        kept = self.run_inside("team-a", "env", args=("--dyn-namespace", "keep"), env={"DYN_NAMESPACE": "whatever"})
        self.assertIn("DYN_NAMESPACE=whatever\n", kept.stdout)

    def test_run_works_in_the_namespace(self):
        for team in ("team-a", "team-b"):
            done = self.run_inside(team, "sh", "-c", f'etcdctl put plan "{team}" && etcdctl get --prefix "" && "$NATS_CLIENT" $NATS_URL pub x y',
                                   env={"ETCDCTL_API": "3"})
            self.assertEqual((0, f"OK\nplan\n{team}\npublished\n"), (done.returncode, done.stdout), done.stderr)
        self.assertIn(b"bh/d/team-a.plan", cases.stored_keys(self.etcd))

    def test_run_returns_the_exit_status(self):
        for status in (0, 1, 2, 42, 255):
            self.assertEqual(status, self.run_inside("t", "sh", "-c", f"exit {status}").returncode)
        self.assertEqual(128 + 9, self.run_inside("t", "sh", "-c", "kill -9 $$").returncode)
        done = self.run_inside("t", "/no/such/program")
        self.assertIn(done.returncode, (126, 127))
        self.assertIn("/no/such/program", done.stderr)
        self.assertEqual(2, bulkhead("run", "--namespace", "t", *self.places()).returncode)
        self.assertEqual(2, bulkhead("run", "--namespace", "t//", *self.places(), "--", "true").returncode)

    def test_run_forwards_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            name = signal.Signals(number).name.removeprefix("SIG")
            process = subprocess.Popen([real.sidecar_binary(), "run", "--namespace", "t", *self.places(), "--", "sh", "-c",
                                        f'trap "echo got {name}; exit 7" {name}; echo started; while :; do sleep 0.02; done'],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.addCleanup(process.stdout.close)
            self.assertEqual("started\n", process.stdout.readline())
            process.send_signal(number)
            self.assertEqual(7, process.wait(real.WAIT_S))
            self.assertEqual(f"got {name}\n", process.stdout.read())

    # health

    def test_health_and_metrics(self):
        sidecar = self.sidecar("watched")
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask('call KV.Put key "a" value "b"')
        nats = self.stack.nats_client(sidecar.nats_url)
        nats.ask("sub s foo.*")
        nats.ask("pub foo.x hello")
        nats.ask("next s")
        for path in ("/livez", "/readyz"):
            real.wait_until(lambda: real.http_get(sidecar.health, path)[0] == 200, path)
        self.assertEqual(404, real.http_get(sidecar.health, "/nothing")[0])
        done = bulkhead("health", "--health-listen", sidecar.health)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(0, bulkhead("health", "--live", "--health-listen", sidecar.health).returncode)
        status, text = real.http_get(sidecar.health, "/metrics")
        self.assertEqual(200, status)
        checked = real.run([real.find_program("promtool"), "check", "metrics"], stdin=text)
        self.assertEqual((0, ""), (checked.returncode, checked.stdout + checked.stderr))
        for name in ("bulkhead_connections_total", "bulkhead_streams_total", "bulkhead_subscriptions_total", "bulkhead_bytes_total",
                     "bulkhead_messages_total", "bulkhead_foreign_total", "bulkhead_denied_total"):
            self.assertRegex(text, rf"(?m)^{name}(\{{.*\}})? \d")
        self.assertRegex(text, r"(?m)^bulkhead_\w+_seconds_bucket\{.*plane=\"etcd\".*le=")
        self.assertRegex(text, r"(?m)^bulkhead_\w+_seconds_bucket\{.*plane=\"nats\".*le=")
        sidecar.finish()
        self.assertEqual(1, bulkhead("health", "--health-listen", sidecar.health).returncode)

    def test_logs_hold_no_values(self):
        sidecar = self.sidecar("quiet", args=("--log-level", "debug"))
        client = self.stack.etcd_client(sidecar.etcd)
        client.ask('call KV.Put key "s3cret-key" value "s3cret-value"')
        client.ask('raw /etcdserverpb.Auth/Authenticate 0a0473336372 120673336372657c')
        nats = self.stack.nats_client(sidecar.nats_url)
        nats.ask("pub foo s3cret-payload")
        nats.ask("flush")
        sidecar.finish()
        self.assertNotRegex(sidecar.log(), re.compile("s3cret-value|s3cret-payload|s3cre"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
