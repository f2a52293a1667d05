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
    (["get", "dir/", "--prefix", "--hex"], None),
    (["get", "dir/", "--prefix", "--consistency", "s", "--sort-by", "MODIFY"], None),
    (["get", "--prefix", "", "--sort-by", "VALUE", "--keys-only", "--order", "ASCEND"], None),
    (["put", "k", "--ignore-value"], None),
    (["put", "none", "--ignore-value"], None),
    (["put", "k", "kept", "--ignore-lease", "--prev-kv", "--write-out", "fields"], None),
    (["del", "dir/", "dir0", "--prev-kv"], None),
    (["txn", "-i"], 'value("k") = "kept"\n\nput k "four"\nget k --print-value-only\n\n\n'),
    (["version"], None),
    (["auth", "status"], None),  # with 3.5
    (["get", "--prefix", "", "--count-only", "--write-out", "fields"], None),
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

# An administrator's commands.
DENIED = [words.split() for words in (
    "compaction 1", "defrag", "endpoint hashkv", "snapshot save $FILE", "auth enable", "auth disable",
    "user list", "user get u", "user add u:p", "user delete u", "user grant-role u r", "user revoke-role u r",
    "role list", "role get r", "role add r", "role delete r", "role grant-permission r read k",
    "role revoke-permission r k", "member add x --peer-urls http://127.0.0.1:1", "member remove 1",
    "member update 1 --peer-urls http://127.0.0.1:1", "member promote 1")]


def stable(text):
    text = re.sub(r'"(ClusterID|MemberID|Revision|RaftTerm|(?:Prev)?CreateRevision|(?:Prev)?ModRevision)" : \d+', r'"\1" : #', text)
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
        listeners = [self.stack.process("elect-l", [real.find_program("etcdctl"), "--endpoints", s.etcd_url,
                                                    "elect", "-l", "boss"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
                     for s in (self.a, self.b)]
        leader = self.stack.process("elect", [real.find_program("etcdctl"), "--endpoints", self.a.etcd_url,
                                              "elect", "boss", "of-a"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
        leader.until(lambda: "of-a" in leader.out(), "a's leader is elected")
        other = self.stack.process("elect", [real.find_program("etcdctl"), "--endpoints", self.b.etcd_url,
                                             "elect", "boss", "of-b"], env={"ETCDCTL_API": "3"}, stdout_is_log=False)
        other.until(lambda: "of-b" in other.out(), "b's leader is elected meanwhile")
        for listener, own, foreign in zip(listeners, ("of-a", "of-b"), ("of-b", "of-a")):
            listener.until(lambda: own in listener.out(), "who listens is told of the leader")
            self.assertRegex(listener.out(), r"^boss/[0-9a-f]+\n" + own)
            self.assertNotIn(foreign, listener.out())
            listener.stop()
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
        for args in DENIED:
            with self.subTest(args):
                done = real.etcdctl(self.a.etcd_url, *[a.replace("$FILE", self.stack.path("file")) for a in args])
                self.assertIn("permission denied", done.stdout + done.stderr)
                self.assertTrue(done.returncode != 0 or args[0] in ("defrag", "endpoint"))
        self.assertNotEqual(0, real.etcdctl(self.a.etcd_url, "move-leader", "1").returncode)
        self.assertEqual(0, real.etcdctl(self.a.etcd_url, "alarm", "disarm").returncode)  # there is none

    def test_watch_interactively(self):
        watch = self.stack.lines("watch-i", [real.find_program("etcdctl"), "--endpoints", self.a.etcd_url, "watch", "-i"])
        for line in ("watch seen", "watch also/ --prefix", "watch range/a range/c"):
            watch.tell(line)
        keys = ("seen", "also/1", "range/b")

        def shown(key):
            """Whether the watch of this key has begun cannot be asked: put until one is shown."""
            for s in (self.b, self.a):
                real.etcdctl(s.etcd_url, "put", key, s.namespace)
            try:
                return watch.answer(1)
            except real.StackError:
                return None
        for key in keys:
            words = [real.wait_until(lambda: shown(key), "the watch shows " + key)]
            while words[-1] != "a":
                self.assertNotEqual("b", words[-1])
                words.append(watch.answer())
            self.assertIn(key, words)
            real.etcdctl(self.a.etcd_url, "put", key, "fence")
            while watch.answer() != "fence":
                pass
        watch.stop()

    def test_mirrors(self):
        """Out of a slice into an etcd of one's own, and from there into another slice."""
        other = self.stack.etcd("mirror")
        for key in ("m/1", "m/2"):
            for s in (self.a, self.b):
                real.etcdctl(s.etcd_url, "put", key, s.namespace)
        mirror = [real.find_program("etcdctl"), "make-mirror", "--prefix", "m/"]
        self.stack.process("mirror-out", [*mirror, "--endpoints", self.a.etcd_url, other.addr])
        got = lambda url: real.etcdctl(url, "get", "m/", "--prefix").stdout
        real.wait_until(lambda: got(other.url) == "m/1\na\nm/2\na\n", "the keys are there")
        child = self.around[0]
        self.stack.process("mirror-in", [*mirror, "--endpoints", other.url, child.etcd])
        real.wait_until(lambda: got(child.etcd_url) == "m/1\na\nm/2\na\n", "they are in the other slice")
        real.etcdctl(self.a.etcd_url, "put", "m/3", "later")
        real.etcdctl(self.a.etcd_url, "del", "m/1")
        real.wait_until(lambda: got(child.etcd_url) == "m/2\na\nm/3\nlater\n", "and what changes follows")
        self.assertEqual("m/1\nb\nm/2\nb\n", got(self.b.etcd_url))


if __name__ == "__main__":
    unittest.main(verbosity=2)
