# SPDX-License-Identifier: Apache-2.0
"""Pods without Kubernetes: a network namespace with real stores, one for each pod, veth between them.

    with real.Stack("x") as stack:
        cluster = pods.Cluster(stack)          # etcd on :2379 and NATS on :4222, IPv4 and IPv6
        a = cluster.pod("a")                   # a.store, a.store6: the stores' addresses seen from there
        a.run("init", [...]); a.sidecar(args); a.run("app", ["etcdctl", ...])

A pod is what Kubernetes makes it: its containers share the network, /etc/hosts and nothing else; each
runs as a user of its own with the capabilities of its securityContext. The namespaces are held by a
process that only sleeps and dies with the test, so nothing stays behind.
"""

import os
import shutil
import subprocess
import unittest

import stack as real

SIDECAR_UID, APP_UID, INIT_UID, MESH_UID = 7077, 1000, 65534, 1337
NO_CAPS = ("--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
NET_ADMIN = ("--no-new-privs", "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin",
             "--bounding-set=-all,+net_admin")
# What a container of the role may do; None: root of the machine, for the test's own set-up.
ROLES = {"sidecar": (SIDECAR_UID, NO_CAPS), "app": (APP_UID, NO_CAPS), "init": (INIT_UID, NET_ADMIN),
         "mesh": (MESH_UID, NO_CAPS), "stranger": (SIDECAR_UID + 1, NO_CAPS), "root": None}


def need_namespaces():
    """Skips the test, and says so, where the machine does not let it make network namespaces."""
    try:
        done = subprocess.run(["unshare", "--net", "--mount", "nft", "list", "tables"], text=True, capture_output=True)
        why = done.stderr.strip() if done.returncode else ""
    except OSError as e:
        why = str(e)
    if os.geteuid() != 0 or why:
        raise unittest.SkipTest(f"network namespaces with nf_tables are not possible here (root needed): {why or 'not root'}")


class Place:
    """A network namespace and a mount namespace, held by a process that sleeps."""

    def __init__(self, stack, name, hosts=None):
        self.stack, self.name = stack, name
        mount = f"mount --bind {hosts} /etc/hosts && " if hosts else ""
        self.pause = stack.process("pause-" + name, ["unshare", "--net", "--mount", "sh", "-c",
                                                     mount + "ip link set lo up && echo up && exec sleep infinity"])
        self.pause.until(lambda: "up" in self.pause.log(), "the pod's namespaces")

    def wrap(self, role):
        """role: one of ROLES, or (user, capabilities) as they stand there."""
        words = ["nsenter", "--target", str(self.pause.pid), "--net", "--mount", "--"]
        user = role if isinstance(role, tuple) else ROLES[role]
        if user:
            uid, caps = user
            words += ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *caps, "--pdeathsig", "KILL"]
        return words

    def run(self, role, argv, **kwargs):
        return real.run([*self.wrap(role), *argv], **kwargs)

    def must(self, role, argv, **kwargs):
        done = self.run(role, argv, **kwargs)
        if done.returncode != 0:
            raise real.StackError(f"{self.name}: {argv}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, role, argv, **kwargs):
        label = role if isinstance(role, str) else str(role[0])
        return self.stack.process(f"{self.name}-{label}", argv, wrap=self.wrap(role), stdout_is_log=False, **kwargs)

    def nft(self, rules):
        self.must("root", ["nft", "-f", "-"], stdin=rules)


class PodSidecar(real.Sidecar):
    """As real.Sidecar, in a pod; the ports are those that it is given or the usual ones."""

    def __init__(self, name, directory, pod, args, role):
        self.pod = pod
        nats = () if "--nats-upstream" in args else ("--nats-upstream", f"nats://{pod.store}:4222")
        argv = [pod.program("bulkhead"), "serve", "--namespace", pod.namespace, "--health-listen", ":9090",
                "--etcd-upstream", f"http://{pod.store}:2379", *nats, *args]
        real.Process.__init__(self, name, argv, directory, stdout_is_log=False, wrap=pod.wrap(role))
        self.until(lambda: real.READY.search(self.out()), "the ready line")

    def metric(self, name):
        """The sum of its samples; name may have labels."""
        code = ("import urllib.request as u; print(u.build_opener(u.ProxyHandler({}))"
                ".open('http://127.0.0.1:9090/metrics').read().decode())")
        text = self.pod.must("app", ["/usr/bin/python3", "-c", code])
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


class Pod(Place):
    def __init__(self, cluster, number, namespace, hosts):
        super().__init__(cluster.stack, "pod-" + namespace.replace("/", "-"), hosts)
        self.cluster, self.namespace = cluster, namespace
        self.store, self.store6 = f"10.77.{number}.1", f"fd77:{number}::1"
        near, far = f"p{number}", f"s{number}"
        store = cluster.place
        store.must("root", ["ip", "link", "add", far, "type", "veth", "peer", "name", near, "netns", str(self.pause.pid)])
        for place, device, last in ((store, far, 1), (self, near, 2)):
            place.must("root", ["ip", "address", "add", f"10.77.{number}.{last}/24", "dev", device])
            place.must("root", ["ip", "address", "add", f"fd77:{number}::{last}/64", "dev", device, "nodad"])
            place.must("root", ["ip", "link", "set", device, "up"])
        self.must("root", ["ip", "route", "add", "default", "via", self.store])
        self.must("root", ["ip", "-6", "route", "add", "default", "via", self.store6])

    def program(self, name):
        return self.cluster.program(name)

    def bulkhead(self, role, *args, **kwargs):
        return self.run(role, [self.program("bulkhead"), *args], **kwargs)

    def redirect(self, *args, role="init"):
        """The init container; its output."""
        return self.must(role, [self.program("bulkhead"), "redirect", *args])

    def sidecar(self, *args, role="sidecar"):
        return self.stack._start(PodSidecar, "sidecar-" + self.namespace.replace("/", "-"), self.stack.directory, self, args, role)

    def connect(self, host, port, role="app"):
        """"open", or the errno's name."""
        code = ("import errno,socket,sys\ns=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n"
                "s.settimeout(20)\ntry:\n s.connect((sys.argv[1],int(sys.argv[2])));print('open')\n"
                "except OSError as e: print(errno.errorcode.get(e.errno, e))\n")
        return self.must(role, ["/usr/bin/python3", "-c", code, host, str(port)]).strip()


class Cluster:
    """The stores, and the programs where every user can run them."""

    def __init__(self, stack):
        self.stack, self.pods = stack, 0
        os.chmod(stack.directory, 0o711)
        self.programs = stack.path("bin")
        os.mkdir(self.programs)
        os.chmod(self.programs, 0o755)  # whatever the umask is
        for path in (real.sidecar_binary(), os.environ["NATS_CLIENT"]):
            shutil.copy(path, self.programs)
        self.place = Place(stack, "stores")
        wrap = self.place.wrap("root")
        self.etcd = stack.etcd(port=2379, host="[::]", wrap=wrap)
        self.nats = stack.nats(port=4222, host="::", wrap=wrap)

    def program(self, name):
        path = os.path.join(self.programs, name)
        return path if os.path.exists(path) else real.find_program(name)

    def pod(self, namespace, hosts=None):
        """hosts: lines of /etc/hosts; STORE in them is the stores' address."""
        path = None
        self.pods += 1
        if hosts:
            path = self.stack.path(f"hosts-{self.pods}")
            with open(path, "w") as f:
                f.write(hosts.replace("STORE", f"10.77.{self.pods}.1"))
            os.chmod(path, 0o644)
        return Pod(self, self.pods, namespace, path)

    def stored(self):
        """The keys of the raw store."""
        out = self.place.must("root", [self.program("etcdctl"), real.ETCDCTL_PATIENCE, "get", "", "--prefix", "--keys-only"],
                              env={"ETCDCTL_API": "3"})
        return out.split()
