# SPDX-License-Identifier: Apache-2.0
"""`bulkhead redirect` and the intercept listener in pods: real users, real capabilities, real stores
(design.md 6 tier d, 9)."""

import ctypes
import os
import re
import shutil
import struct
import subprocess
import unittest

import pods
import stack as real
from inject_pods import certificate

INTERCEPT = ("--intercept-listen", "127.0.0.1:15379,[::1]:15379")
ETCDCTL = {"ETCDCTL_API": "3"}
# Listens on the ports of its command line, IPv4 and IPv6, and takes whoever comes.
SERVE = """
import select, socket, sys
all = [socket.create_server(('::', int(p)), family=socket.AF_INET6, dualstack_ipv6=True) for p in sys.argv[1:]]
print('serving', flush=True)
while True:
    for s in select.select(all, [], [])[0]:
        s.accept()[0].close()
"""
# A mesh's proxy: takes what is redirected to 15001 and goes where it was meant to go, and says so.
MESH = """
import socket, struct, threading
def pump(a, b):
    while True:
        data = a.recv(65536)
        if not data: break
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server(('127.0.0.1', 15001))
print('serving', flush=True)
while True:
    app = server.accept()[0]
    raw = app.getsockopt(socket.SOL_IP, 80, 16)
    host, port = socket.inet_ntoa(raw[4:8]), struct.unpack('!H', raw[2:4])[0]
    print('meant for %s:%d' % (host, port), flush=True)
    try:
        up = socket.create_connection((host, port))
    except OSError:
        app.close()
        continue
    for pair in ((app, up), (up, app)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""
MESH_RULES = """
table inet mesh {
  chain out { type nat hook output priority -100; policy accept;
    meta skuid 1337 return
    oifname "lo" return
    meta nfproto ipv4 meta l4proto tcp redirect to :15001
  }
}
"""
# Dials argv[1] (an IPv6 literal) at port argv[2] in the way of argv[3]; prints "open" or the errno's name.
DIAL6 = """
import errno, socket, sys
host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262 if how == 'mptcp' else 0)
s.settimeout(None if how == 'fast' else 20)
if how == 'bound': s.bind((sys.argv[4], 0))
if how == 'only': s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
try:
    s.sendto(b'x', 0x20000000, (host, port)) if how == 'fast' else s.connect((host, port))
    print('open')
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""
# A NATS client with TLS, as far as its first PING.
NATS_TLS = """
import socket, ssl, sys
s = socket.create_connection((sys.argv[1], 4222), 30)
assert b'"tls_required":true' in s.makefile('rb', 0).readline()
s = ssl.create_default_context(cafile=sys.argv[2]).wrap_socket(s, server_hostname=sys.argv[1])
s.sendall(b'CONNECT {"verbose":false}\\r\\nPING\\r\\n')
print(s.makefile('r').readline().strip())
"""
# --first: what there is is removed before each. From fork to the end of the program's standard output's first line, or of the program.
TIMES = """
import statistics, subprocess, sys, time
times, before = [], None
for _ in range(20):
    if sys.argv[2:4] == ['redirect', '--first']:
        sys.argv.remove('--first')
        before = [sys.argv[1], 'redirect', '--remove']
    if before:
        subprocess.run(before, stdout=subprocess.DEVNULL, check=True)
    begin = time.monotonic()
    p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if p.stdout.readline().startswith(b'ready'):
        times.append(time.monotonic() - begin)
        p.terminate()
        p.wait()
    else:
        assert p.wait() == 0
        times.append(time.monotonic() - begin)
print('median %.1f ms, best %.1f, worst %.1f' % tuple(1000 * t for t in (statistics.median(times), min(times), max(times))))
"""


def no_netfilter():
    """In a child: socket(AF_NETLINK, …, NETLINK_NETFILTER) fails as in a sandbox that has none."""
    ld, eq, ret, arg = 0x20, 0x15, 0x06, 16
    nr = {"x86_64": 41, "aarch64": 198}[os.uname().machine]  # socket(2)
    code = [(ld, 0, 0, 0), (eq, 0, 5, nr), (ld, 0, 0, arg), (eq, 0, 3, 16), (ld, 0, 0, arg + 16), (eq, 0, 1, 12),
            (ret, 0, 0, 0x00050000 | 93), (ret, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    fprog = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_char_p(fprog), 0, 0) != 0:
        os._exit(99)


class Redirect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pods.need_namespaces()
        cls.stack = real.Stack("redirect")
        cls.addClassCleanup(cls.stack.close)
        cls.cluster = pods.Cluster(cls.stack)
        python = cls.cluster.place.start("root", ["/usr/bin/python3", "-c", SERVE, "2380", "8222", "9999"])
        python.until(lambda: "serving" in python.out(), "other ports of the stores")

    def setUp(self):
        self.pod = self.cluster.pod(f"t{self.cluster.pods}")

    def etcdctl(self, *words, role="app", host=None):
        return self.pod.run(role, [self.pod.program("etcdctl"), "--endpoints", f"http://{host or self.pod.store}:2379",
                                   real.ETCDCTL_PATIENCE, *words], env=ETCDCTL)

    def nats(self, *words, role="app"):
        return self.pod.run(role, [self.pod.program("nats_client"), f"nats://{self.pod.store}:4222", *words])

    # installing

    def test_as_a_user_with_net_admin_alone_again_and_again(self):
        for _ in range(3):
            said = self.pod.redirect()
            self.assertIn("redirect: installed\n", said)
            self.assertRegex(said, r"proven for 127.0.0.1, 192.0.2.1, ::1, 2001:db8::1\n")
        rules = self.pod.must("root", ["nft", "list", "ruleset"])
        self.assertEqual(1, rules.count("table "), rules)
        self.assertEqual(1, rules.count("redirect to :15379"), rules)
        # An application cannot take them away again; whoever may install may remove.
        flush = self.pod.run("app", ["nft", "flush", "ruleset"])
        self.assertRegex(flush.stderr, "not permitted")
        self.assertEqual(1, self.pod.bulkhead("app", "redirect", "--remove").returncode)
        self.assertEqual(rules.count("\n"), self.pod.must("root", ["nft", "list", "ruleset"]).count("\n"))
        self.assertIn("removed", self.pod.redirect("--remove"))
        self.assertEqual("", self.pod.must("root", ["nft", "list", "ruleset"]))
        self.pod.redirect("--remove")

    def handles(self):
        """What stands in the kernel, without what is counted: a rule that was made anew has another handle."""
        return re.sub(r"packets \d+ bytes \d+", "", self.pod.must("root", ["nft", "-a", "list", "ruleset"]))

    def test_the_same_rules_stay_and_changed_ones_are_put_right(self):
        options = (("--enforce",), (), ("--enforce", "--exempt-uids", "1337,9", "--enforce-to", "10.0.0.0/8,fd00::/8"),
                   ("--etcd-ports", "12379,2379", "--nats-ports", "4222,4000"))
        for args in options:
            self.pod.redirect(*args)
            made = self.handles()
            self.pod.redirect(*args)
            self.assertEqual(made, self.handles(), args)
        wanted = self.pod.must("init", [self.pod.program("bulkhead"), "redirect", "--dry-run"])
        for change in ("add rule inet bulkhead to_sidecar accept", "insert rule inet bulkhead to_sidecar tcp dport 2379 return",
                       "add chain inet bulkhead other", "add table inet bulkhead { flags dormant; }",
                       "flush chain inet bulkhead to_sidecar", "delete table inet bulkhead"):
            self.pod.redirect()
            self.pod.nft(change)
            self.pod.redirect()
            self.assertEqual(1, self.handles().count("chain "), change)
            self.pod.nft(wanted)  # what must be there, by nft itself
            expected = re.sub(r"handle \d+|# ", "", self.handles())
            self.pod.nft(change)
            self.pod.redirect()
            self.assertEqual(expected, re.sub(r"handle \d+|# ", "", self.handles()), change)

    def test_without_the_capability_it_says_so_and_changes_nothing(self):
        done = self.pod.bulkhead("app", "redirect")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"^bulkhead: redirect: not allowed: the capability NET_ADMIN is missing; .*setcap")
        self.assertEqual("", self.pod.must("root", ["nft", "list", "ruleset"]))

    def test_the_file_can_carry_the_capability_and_still_be_a_sidecar(self):
        """cap_net_admin+p on the image's one program: the init container's bounding set lets it be taken up,
        the sidecar's (drop ALL) does not keep it from running."""
        path = self.stack.path("bin/bulkhead-with-capability")
        if os.statvfs(self.stack.directory).f_flag & os.ST_NOSUID:
            self.skipTest("the temporary directory is mounted nosuid: file capabilities do not count there")
        shutil.copy(self.pod.program("bulkhead"), path)
        marked = real.run(["setcap", "cap_net_admin+p", path])
        if marked.returncode != 0:
            self.skipTest("no file capabilities in the temporary directory: " + marked.stderr)
        def as_user(bounding, *words):
            enter = self.pod.wrap("root")
            user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all",
                    f"--bounding-set={bounding}"]
            # A program with capabilities cannot be traced, which the leak check needs.
            return real.run([*enter, *user, path, *words], env={"ASAN_OPTIONS": "detect_leaks=0"})
        done = as_user("-all,+net_admin", "redirect")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        done = as_user("-all", "--version")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(1, as_user("-all", "redirect").returncode)

    def test_a_kernel_without_netfilter_is_named(self):
        done = subprocess.run([*self.pod.wrap("root"), self.pod.program("bulkhead"), "redirect"], text=True,
                              capture_output=True, preexec_fn=no_netfilter)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertRegex(done.stderr, "this kernel gives no way to netfilter: Protocol not supported; .* instead of redirection")

    def test_as_an_exempt_user_it_refuses(self):
        done = self.pod.bulkhead("sidecar", "redirect")
        self.assertEqual(2, done.returncode)
        self.assertIn("runs as user 7077, whose connections the rules leave alone", done.stderr)

    def test_dry_run_prints_what_nft_takes(self):
        rules = self.pod.must("app", [self.pod.program("bulkhead"), "redirect", "--dry-run", "--enforce", "--exempt-uids",
                                      "1337", "--enforce-to", "10.0.0.0/8,fd00::/8,192.0.2.7"])
        self.assertEqual("", self.pod.must("root", ["nft", "list", "ruleset"]))
        self.pod.must("root", ["nft", "-c", "-f", "-"], stdin=rules)
        self.pod.nft(rules)
        self.assertIn("192.0.2.7", self.pod.must("root", ["nft", "list", "table", "inet", "bulkhead"]))

    # verifying

    def test_verify_needs_no_capability_and_believes_nothing(self):
        verify = lambda *words: self.pod.bulkhead("app", "redirect", "--verify", *words)
        done = verify()
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("127.0.0.1 port 2379: refused, not redirected", done.stderr)
        self.pod.redirect()
        self.assertEqual(0, verify().returncode)
        # More is asked than is there: one port, another listener.
        self.assertIn("127.0.0.1 port 2380: refused", verify("--etcd-ports", "2379,2380").stderr)
        self.assertEqual(1, verify("--intercept-listen", "127.0.0.1:15380").returncode)
        # Rules that take it somewhere else, before ours: another program answers.
        other = self.pod.start("app", ["/usr/bin/python3", "-c", SERVE, "15500"])
        other.until(lambda: "serving" in other.out(), "another listener")
        self.pod.nft("table inet other { chain o { type nat hook output priority -120;\n tcp dport 4222 redirect to :15500\n }\n}")
        done = verify()
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, "127.0.0.1 port 4222: it reached somebody else")

    def test_verify_leaves_a_running_sidecar_alone(self):
        self.pod.redirect()
        self.pod.sidecar(*INTERCEPT)
        done = self.pod.bulkhead("app", "redirect", "--verify")
        self.assertEqual(1, done.returncode)
        self.assertIn("verify before the sidecar starts", done.stderr)
        self.assertIn("not proven: port 15379 is in use", self.pod.redirect())

    # what it does

    def test_fails_closed(self):
        """The sidecar is down, or not there yet, or gone: never the real store."""
        for host in (self.pod.store, self.pod.store6):
            self.assertEqual("open", self.pod.connect(host, 2379))
        self.pod.redirect()
        def refused():
            for host in (self.pod.store, self.pod.store6, "127.0.0.1", "::1"):
                for port in (2379, 4222):
                    self.assertEqual("ECONNREFUSED", self.pod.connect(host, port), f"{host} {port}")
        refused()
        sidecar = self.pod.sidecar(*INTERCEPT)
        for host in (self.pod.store, self.pod.store6, "127.0.0.1", "::1", "192.0.2.77", "2001:db8::77"):
            self.assertEqual("open", self.pod.connect(host, 2379), host)
        self.assertEqual("open", self.pod.connect(self.pod.store, 9999))
        sidecar.finish()
        refused()

    def test_enforce_rejects_what_goes_around(self):
        self.pod.redirect()
        for port in (2380, 8222, 9999):
            self.assertEqual("open", self.pod.connect(self.pod.store, port))
        self.pod.redirect("--enforce")
        for host in (self.pod.store, self.pod.store6):
            for port in (2380, 8222):
                self.assertEqual("ECONNREFUSED", self.pod.connect(host, port), f"{host} {port}")
                self.assertEqual("open", self.pod.connect(host, port, role="sidecar"))
            self.assertEqual("open", self.pod.connect(host, 9999))
        rules = self.pod.must("root", ["nft", "list", "table", "inet", "bulkhead"])
        self.assertRegex(rules, r"2380.*counter packets [1-9]")
        own = self.pod.start("app", ["/usr/bin/python3", "-c", SERVE, "8222"])
        own.until(lambda: "serving" in own.out(), "a server of the pod's own")
        self.assertEqual("open", self.pod.connect("127.0.0.1", 8222))
        # Only one store is meant.
        self.pod.redirect("--enforce", "--enforce-to", f"{self.pod.store}/32,{self.pod.store6}")
        self.assertEqual("ECONNREFUSED", self.pod.connect(self.pod.store, 2380))
        self.assertEqual("ECONNREFUSED", self.pod.connect(self.pod.store6, 2380))
        self.pod.redirect("--enforce", "--enforce-to", "192.0.2.0/24")
        self.assertEqual("open", self.pod.connect(self.pod.store, 2380))

    def test_a_set_uid_file_is_the_sidecar_unless_escalation_is_forbidden(self):
        """Why the injector asks for allowPrivilegeEscalation: false, which is no_new_privs, where rules are enforced."""
        directory = os.path.dirname(self.pod.program("bulkhead"))
        if os.statvfs(directory).f_flag & os.ST_NOSUID:
            self.skipTest(f"{directory} is on a file system without set-uid files")
        python = shutil.copy(os.path.realpath("/usr/bin/python3"), os.path.join(directory, "set-uid-python"))
        os.chown(python, pods.SIDECAR_UID, -1)
        os.chmod(python, 0o4755)
        dial = [python, "-c", "import socket, sys; socket.create_connection((sys.argv[1], 2380), 20)", self.pod.store]
        self.pod.redirect("--enforce")
        self.assertIn("ConnectionRefusedError", self.pod.run("app", dial).stderr)
        escalating = (pods.APP_UID, [word for word in pods.NO_CAPS if word != "--no-new-privs"])
        self.assertEqual("", self.pod.run(escalating, dial).stderr)

    def dial6(self, host, port, how="plain"):
        return self.pod.must("app", ["/usr/bin/python3", "-c", DIAL6, host, str(port), how, "::ffff:" + self.pod.store[:-1] + "2"]).strip()

    def test_ipv4_dialled_through_ipv6_sockets_is_no_way_around(self):
        """::ffff:a.b.c.d: the packets are IPv4's, and so are the rules that see them; however it is dialled."""
        mapped = "::ffff:" + self.pod.store
        ways = ["plain", "bound", "fast"]
        if self.dial6(mapped, 2379, "mptcp") == "open":  # a kernel may not have it
            ways.append("mptcp")
        for way in ways:
            self.assertEqual("open", self.dial6(mapped, 2379, way), way)
        self.pod.redirect("--enforce")
        for way in ways:
            for host in (mapped, "::ffff:192.0.2.77", "::ffff:127.0.0.1"):
                if way == "bound" and host.endswith("127.0.0.1"):
                    continue  # from another address than loopback's there is no way to it
                self.assertEqual("ECONNREFUSED", self.dial6(host, 2379, way), f"{way} {host}")
            for port in (4222, 2380, 8222):
                self.assertEqual("ECONNREFUSED", self.dial6(mapped, port, way), f"{way} {port}")
            self.assertEqual("open", self.dial6(mapped, 9999, way), way)
        self.assertEqual("ENETUNREACH", self.dial6(mapped, 2379, "only"))
        self.pod.redirect("--enforce", "--enforce-to", self.pod.store)
        self.assertEqual("ECONNREFUSED", self.dial6(mapped, 8222))
        refused = self.pod.bulkhead("init", "redirect", "--enforce", "--enforce-to", mapped)
        self.assertEqual((2, ""), (refused.returncode, refused.stdout))
        sidecar = self.pod.sidecar(*INTERCEPT)
        for taken, way in enumerate(ways, 1):
            self.assertEqual(["open", "open"], [self.dial6(mapped, port, way) for port in (2379, 4222)], way)
            for plane in ("etcd", "nats"):
                sidecar.until(lambda: sidecar.metric(f'bulkhead_intercepted_total{{plane="{plane}"}}') == taken, f"{way} {plane}")
        self.assertEqual(0, sidecar.metric("bulkhead_intercept_refused_total"))

    def test_the_original_destination_chooses_and_is_never_dialled(self):
        self.pod.redirect("--etcd-ports", "2379,12379")
        sidecar = self.pod.sidecar(*INTERCEPT)
        # Nobody has this address: what answers is the sidecar, from the store that it knows.
        self.assertEqual("OK\n", self.etcdctl("put", "k", "v", host="192.0.2.99").stdout)
        self.assertIn(f"bh/d/{self.pod.namespace}.k", self.cluster.stored())
        self.assertEqual("published\n", self.nats("pub", "work", "x").stdout)
        self.pod.connect(self.pod.store, 12379)  # redirected, but serve was not told of it
        sidecar.until(lambda: sidecar.metric('bulkhead_intercept_refused_total{reason="port"}') == 1, "refused")
        self.assertRegex(sidecar.log(), r"meant_for=10\.77\.\d+\.1:12379 .*--etcd-ports")
        self.pod.connect("127.0.0.1", 15379)
        sidecar.until(lambda: sidecar.metric('bulkhead_intercept_refused_total{reason="not_redirected"}') == 1, "refused")
        self.assertEqual(1, sidecar.metric('bulkhead_intercepted_total{plane="nats"}'))

    def test_a_loop_is_seen_at_once(self):
        """The sidecar runs as a user that the rules do not exempt: what it dials comes back."""
        self.pod.redirect()
        self.check_a_loop()

    def test_a_loop_through_an_ipv6_socket_is_seen_too(self):
        self.pod.redirect()
        self.check_a_loop("--nats-upstream", f"nats://[::ffff:{self.pod.store}]:4222")

    def check_a_loop(self, *upstream):
        sidecar = self.pod.sidecar(*INTERCEPT, *upstream, role="stranger")
        self.assertNotEqual(0, self.nats("pub", "work", "x").returncode)
        sidecar.until(lambda: "own connection came back" in sidecar.log(), "the loop in the log")
        self.assertRegex(sidecar.log(), "run the sidecar as the user that `bulkhead redirect --sidecar-uid` exempts")
        taken = sidecar.metric('bulkhead_intercepted_total{plane="nats"}')
        self.assertGreater(sidecar.metric('bulkhead_intercept_refused_total{reason="loop"}'), 0)
        self.assertLess(taken, 20)  # the client's own attempts, not one another's
        self.assertEqual(0, sidecar.metric('bulkhead_intercepted_total{plane="etcd"}'))
        self.assertEqual("", "".join(k for k in self.cluster.stored() if self.pod.namespace in k))

    def test_tls_on_the_plaintext_port_is_refused_with_the_fix(self):
        self.pod.redirect()
        sidecar = self.pod.sidecar(*INTERCEPT)
        for port, fix in ((2379, "--etcd-listen-cert"), (4222, "--nats-listen-cert")):
            done = self.pod.run("app", ["openssl", "s_client", "-connect", f"{self.pod.store}:{port}"], stdin="")
            self.assertNotEqual(0, done.returncode)
            sidecar.until(lambda: fix in sidecar.log(), f"the log names {fix}")

    def test_tls_is_taken_where_the_sidecar_has_the_stores_names(self):
        """The application believes a certificate for the address that it dials; the stores behind stay plain."""
        cert, key = certificate(self.stack.directory, "stores", f"IP:{self.pod.store},IP:{self.pod.store6}")
        os.chmod(cert, 0o644)
        os.chown(key, pods.SIDECAR_UID, pods.SIDECAR_UID)
        self.pod.redirect("--enforce")
        sidecar = self.pod.sidecar(*INTERCEPT, *(f"--{plane}-listen-{what}={path}" for plane in ("etcd", "nats")
                                                 for what, path in (("cert", cert), ("key", key))))
        put = [self.pod.program("etcdctl"), real.ETCDCTL_PATIENCE, "--cacert", cert, "put", "k", "v", "--endpoints"]
        for host in (self.pod.store, f"[{self.pod.store6}]"):
            self.assertEqual("OK\n", self.pod.run("app", [*put, f"https://{host}:2379"], env=ETCDCTL).stdout, host)
        self.assertIn(f"bh/d/{self.pod.namespace}.k", self.cluster.stored())
        self.assertEqual("PONG\n", self.pod.must("app", ["/usr/bin/python3", "-c", NATS_TLS, self.pod.store, cert]))
        self.assertEqual(1, sidecar.metric('bulkhead_intercepted_total{plane="nats"}'))

    def test_a_pod_without_ipv6(self):
        self.pod.must("root", ["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"])
        self.assertIn("proven for 127.0.0.1, 192.0.2.1\n", self.pod.redirect("--enforce"))
        sidecar = self.pod.sidecar(*INTERCEPT)
        self.assertIn("IPv6 address left out", sidecar.log())
        self.assertEqual("OK\n", self.etcdctl("put", "k", "v").stdout)
        self.assertEqual(1, sidecar.metric('bulkhead_intercepted_total{plane="etcd"}'))

    # beside a mesh

    def mesh(self):
        proxy = self.pod.start("mesh", ["/usr/bin/python3", "-c", MESH])
        proxy.until(lambda: "serving" in proxy.out(), "the mesh's proxy")
        return proxy

    def check_beside_a_mesh(self, proxy):
        sidecar = self.pod.sidecar(*INTERCEPT)
        store = self.pod.store
        self.assertEqual("OK\n", self.etcdctl("put", "k", "v").stdout)
        self.assertEqual("published\n", self.nats("pub", "work", "x").stdout)
        self.assertIn(f"bh/d/{self.pod.namespace}.k", self.cluster.stored())
        self.assertEqual(1, sidecar.metric('bulkhead_intercepted_total{plane="etcd"}'))
        self.assertEqual(1, sidecar.metric('bulkhead_intercepted_total{plane="nats"}'))
        self.assertEqual(0, sidecar.metric("bulkhead_intercept_refused_total"))
        # The sidecar's own connections are the mesh's, which may want to encrypt them.
        self.assertIn(f"meant for {store}:2379", proxy.out())
        self.assertIn(f"meant for {store}:4222", proxy.out())
        # Everything else is the mesh's as before, but the stores' other ports are nobody's.
        self.assertEqual("open", self.pod.connect(store, 9999))
        proxy.until(lambda: f"meant for {store}:9999" in proxy.out(), "the mesh takes the rest")
        self.assertEqual("ECONNREFUSED", self.pod.connect(store, 8222))
        self.assertNotIn(":8222", proxy.out())
        sidecar.finish()
        self.assertNotEqual("open", self.pod.connect(store, 2379))

    def test_a_mesh_that_was_there_before(self):
        self.pod.nft(MESH_RULES)
        proxy = self.mesh()
        self.pod.redirect("--enforce", "--exempt-uids", "1337")
        self.check_beside_a_mesh(proxy)

    def test_a_mesh_that_comes_later(self):
        self.pod.redirect("--enforce", "--exempt-uids", "1337")
        self.pod.nft(MESH_RULES)
        self.check_beside_a_mesh(self.mesh())

    # how long it takes

    def test_times_are_printed(self):
        """Not judged here: the machine may be busy. design.md's aims: install 20 ms, ready 50 ms."""
        program = self.pod.program("bulkhead")
        upstream = ("--etcd-upstream", f"{self.pod.store}:2379", "--nats-upstream", f"{self.pod.store}:4222")
        for what, role, words in (
                ("redirect, the pod's first: installed and proven", "init", (program, "redirect", "--first", "--enforce")),
                ("redirect, again", "init", (program, "redirect", "--enforce")),
                ("serve, exec to its ready line", "sidecar", (program, "serve", *upstream, *INTERCEPT)),
                ("for comparison, fork and exec of true", "init", ("true",))):
            times = self.pod.must(role, ["/usr/bin/python3", "-c", TIMES, *words])
            print(f"\n{what}: {times.strip()}", end="", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
