# SPDX-License-Identifier: Apache-2.0
"""etcdctl: the commands people type, through the sidecars of two tenants and on a private etcd."""

import re
import unittest

import cases
import stack as real

# arguments, standard input
COMMANDS = [
    (["put", "k", "one"], None),
    (["put", "k", "two", "--prev-kv"], None),
    (["put", "dir/1", "x"], None),
    (["put", "dir/2"], "from standard input"),
    (["put", "e", ""], None),
    (["put", "", "no key"], None),
    (["get", "k"], None),
    (["get", "k", "--print-value-only"], None),
    (["get", "none"], None),
    (["get", "dir/", "--prefix"], None),
    (["get", "--prefix", ""], None),
    (["get", "--prefix", "", "--keys-only"], None),
    (["get", "--prefix", "", "--limit", "2", "--order", "DESCEND"], None),
    (["get", "--prefix", "", "--sort-by", "VERSION", "--order", "DESCEND"], None),
    (["get", "--from-key", "e"], None),
    (["get", "--from-key", ""], None),
    (["get", "a", "f"], None),
    (["get", "z", "a"], None),
    (["get", ""], None),
    (["get", "--prefix", "", "--rev", "99999999"], None),
    (["get", "--prefix", "", "--write-out", "fields"], None),
    (["txn"], 'value("k") = "two"\n\nput k "three"\nget k\n\nput k lost\n\n'),
    (["txn"], 'value("k") = "two"\nversion("dir/1") > "0"\n\nput k lost\n\nget k\nget dir/ --prefix\ndel e\n\n'),
    (["txn"], 'create("new") = "0"\nmod("k") > "0"\n\nput new 1\ndel dir/ --prefix\n\nget new\n\n'),
    (["lease", "list"], None),
    (["lease", "grant", "500"], None),
    (["put", "leased", "x", "--lease", "$LEASE"], None),
    (["get", "leased", "--write-out", "fields"], None),
    (["lease", "timetolive", "$LEASE", "--keys"], None),
    (["lease", "keep-alive", "--once", "$LEASE"], None),
    (["lease", "list"], None),
    (["lease", "revoke", "$LEASE"], None),
    (["lease", "revoke", "$LEASE"], None),
    (["lease", "timetolive", "$LEASE"], None),
    (["put", "leased", "x", "--lease", "$LEASE"], None),
    (["get", "leased"], None),
    (["lock", "mutex", "echo", "locked"], None),
    (["alarm", "list"], None),
    (["del", "k", "--prev-kv"], None),
    (["del", "--from-key", "n"], None),
    (["del", "none"], None),
    (["del", "--prefix", ""], None),
    (["get", "--prefix", ""], None),
]


def stable(text):
    text = re.sub(r'"(ClusterID|MemberID|Revision|RaftTerm|CreateRevision|ModRevision)" : \d+', r'"\1" : #', text)
    text = re.sub(r'"Lease" : [1-9]\d*', '"Lease" : #', text)
    text = re.sub(r'\b[0-9a-f]{14,16}\b', "<lease>", text)
    text = re.sub(r'remaining\(\d+s\)', "remaining(#)", text)
    text = re.sub(r'\{"level".*|https?://\S+|\[[^]]*127\.0\.0\.1[^]]*\]', "", text)
    return text.strip()


class Session:
    """One etcdctl user: remembers the lease it was granted."""

    def __init__(self, url):
        self.url, self.lease = url, "0"

    def run(self, args, stdin):
        done = real.etcdctl(self.url, *[a.replace("$LEASE", self.lease) for a in args], stdin=stdin)
        granted = re.search(r"lease ([0-9a-f]+) granted", done.stdout)
        self.lease = granted.group(1) if granted else self.lease
        return f"$ {' '.join(args)}\n{stable(done.stdout)}\n{stable(done.stderr)}\nstatus {done.returncode}"


class EtcdCtl(cases.Shared):
    use_nats = False
    neighbours = ("a/child", "default")

    def test_every_command_answers_as_on_a_private_etcd(self):
        private = self.stack.etcd("private-etcd")
        sessions = [Session(u) for u in
                    (private.url, self.a.etcd_url, self.b.etcd_url, *[s.etcd_url for s in self.around])]
        for args, stdin in COMMANDS:
            answers = [s.run(args, stdin) for s in sessions]
            for answer in answers[1:]:
                self.assertEqual(answers[0], answer)

    def watch(self, sidecar, *args):
        return self.stack.process("watch", [real.find_program("etcdctl"), "--endpoints", sidecar.etcd_url,
                                            "watch", *args], env={"ETCDCTL_API": "3"}, stdout_is_log=False)

    def test_watch_everything_sees_ones_own_and_its_history(self):
        def put(sidecar, value):
            self.assertEqual("OK\n", real.etcdctl(sidecar.etcd_url, "put", "w", value).stdout)
        for n in range(3):
            for s, who in ((self.a, "a"), (self.b, "b")):
                put(s, f"{who}{n}")
        watches = [(w, who) for s, who in ((self.a, "a"), (self.b, "b"))
                   for w in (self.watch(s, "--prefix", "", "--rev", "1"), self.watch(s, "--rev=1", "w"))]
        for n in range(3, 6):
            for s, who in ((self.a, "a"), (self.b, "b")):
                put(s, f"{who}{n}")
        for w, who in watches:
            w.until(lambda: f"{who}5" in w.out(), "the last put is seen")
            values = [line for line in w.out().splitlines() if re.fullmatch(r"[ab]\d", line)]
            self.assertEqual([f"{who}{n}" for n in range(6)], values)
            self.assertNotIn("bh/", w.out())
            w.stop()

    def test_locks_and_elections_of_clients_stay_in_the_namespace(self):
        """etcdctl's lock and elect are recipes of the client on plain keys and leases."""
        held = [self.stack.process("lock", [real.find_program("etcdctl"), "--endpoints", s.etcd_url,
                                            "lock", "the-lock"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
                for s in (self.a, self.b)]
        for lock in held:  # both hold it at once: they are two locks
            lock.until(lambda: lock.out().startswith("the-lock/"), "the lock is held")
        second = self.stack.process("lock2", [real.find_program("etcdctl"), "--endpoints", self.a.etcd_url,
                                              "lock", "the-lock", "echo", "mine"], env={"ETCDCTL_API": "3"},
                                    stdout_is_log=False)
        def waiting():
            return real.etcdctl(self.a.etcd_url, "get", "the-lock/", "--prefix", "--keys-only").stdout.count("the-lock/") == 2
        second.until(waiting, "the second one of a queues")
        self.assertEqual("", second.out())
        held[0].stop()
        second.until(lambda: "mine" in second.out(), "a's second gets the lock when the first lets go")
        real.wait_until(lambda: not second.running(), "it ends")
        held[1].stop()
        leader = self.stack.process("elect", [real.find_program("etcdctl"), "--endpoints", self.a.etcd_url,
                                              "elect", "boss", "of-a"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
        leader.until(lambda: "of-a" in leader.out(), "a's leader is elected")
        other = self.stack.process("elect", [real.find_program("etcdctl"), "--endpoints", self.b.etcd_url,
                                             "elect", "boss", "of-b"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
        other.until(lambda: "of-b" in other.out(), "b's leader is elected meanwhile")
        leader.stop()
        other.stop()

    def test_the_shared_cluster_is_out_of_reach(self):
        self.assertIn("version", real.etcdctl(self.a.etcd_url, "endpoint", "status", "-w", "json").stdout)
        done = real.etcdctl(self.a.etcd_url, "endpoint", "health")
        self.assertEqual(0, done.returncode, done.stderr)
        members = real.etcdctl(self.a.etcd_url, "member", "list").stdout
        self.assertEqual(1, len(members.splitlines()))
        self.assertIn(self.a.etcd_url, members)
        self.assertNotIn(self.etcd.addr, members)
        done = real.etcdctl(self.a.etcd_url, "endpoint", "status", "--cluster")
        self.assertIn(self.a.etcd, done.stdout, done.stderr)
        for args in (["compaction", "1"], ["defrag"], ["auth", "enable"], ["user", "list"], ["role", "list"],
                     ["member", "add", "x", "--peer-urls", "http://127.0.0.1:1"],
                     ["snapshot", "save", self.stack.path("snapshot")], ["endpoint", "hashkv"]):
            with self.subTest(args):
                done = real.etcdctl(self.a.etcd_url, *args)
                self.assertIn("permission denied", done.stdout + done.stderr)
                self.assertTrue(done.returncode != 0 or args[0] in ("defrag", "endpoint"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
