# SPDX-License-Identifier: Apache-2.0
"""A cluster of three etcds on loopback whose members can be killed, stopped and cut off.

    with real.Stack() as stack:
        cluster = Cluster(stack)
        cluster.url                      # all three, as an upstream wants them
        cluster.cut_off(member)          # the others no longer hear it, and it not them
        cluster.heal()

Each member's peer URL is a Gate: a small TCP proxy. etcd names the sender in the head of each peer
connection (X-Server-From), so a gate can refuse one member and let others pass; a member's own gate
refuses all. What clients use goes to the members themselves.
"""

import json
import os
import re
import signal
import socket
import threading

import stack as real

SENDER = re.compile(rb"^X-Server-From: ([0-9a-f]+)\r$", re.M | re.I)


class Gate:
    """Forwards to a port on loopback; refuses whom `is_refused(sender)` names, at any time."""

    def __init__(self, port, is_refused):
        self.port, self.is_refused = port, is_refused
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock, self.open = threading.Lock(), {}  # a pair of sockets: its sender
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                incoming, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(incoming,), daemon=True).start()

    def _forward(self, incoming):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                data = incoming.recv(65536)
                if not data:
                    incoming.close()
                    return
                head += data
            match = SENDER.search(head.partition(b"\r\n\r\n")[0] + b"\r\n")
            sender = match and match[1].decode()
            outgoing = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            incoming.close()
            return
        pair = (incoming, outgoing)
        with self.lock:
            self.open[pair] = sender
        if self.is_refused(sender):
            self._close(pair)
            return
        threading.Thread(target=self._copy, args=(pair, outgoing, incoming), daemon=True).start()
        try:
            outgoing.sendall(head)
        except OSError:
            self._close(pair)
        self._copy(pair, incoming, outgoing)

    def _copy(self, pair, source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        with self.lock:
            if self.open.pop(pair, 0) == 0:
                return
        for s in pair:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def enforce(self):
        with self.lock:
            refused = [pair for pair, sender in self.open.items() if self.is_refused(sender)]
        for pair in refused:
            self._close(pair)

    def close(self):
        self.listener.close()
        with self.lock:
            pairs = list(self.open)
        for pair in pairs:
            self._close(pair)


class Member(real.Process):
    """One etcd, which can be started again with its data and ports."""

    def __init__(self, name, directory, number, peer_port, client_port, members):
        self.number = number
        self.addr = f"127.0.0.1:{client_port}"
        self.url = "http://" + self.addr
        super().__init__(name, [
            real.find_program("etcd"), "--name", f"m{number}", "--data-dir", os.path.join(directory, f"m{number}.data"),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
            "--initial-advertise-peer-urls", members.split(",")[number].split("=")[1],
            "--initial-cluster", members, "--heartbeat-interval", "50", "--election-timeout", "500",
            "--enable-grpc-gateway=false", "--logger", "zap", "--log-outputs", "stderr"], directory)


class Cluster:
    N = 3

    def __init__(self, stack):
        self.stack = stack
        self.cut = None  # the id of the member that is cut off, or "all"
        self.ids = {}
        # A member's ports are its own while it is dead, too, and nobody else's: not another member's either.
        self.held = [real.held_port() for _ in range(2 * self.N)]
        ports = [s.getsockname()[1] for s in self.held]
        self.ports = list(zip(ports[::2], ports[1::2]))
        self.gates = [Gate(self.ports[i][0], lambda sender, i=i: self._is_refused(sender, i)) for i in range(self.N)]
        self.names = ",".join(f"m{i}=http://{gate.addr}" for i, gate in enumerate(self.gates))
        self.members = [None] * self.N
        for i in range(self.N):
            self.start(i)
        self.url = ",".join(m.url for m in self.members)
        self.wait_healthy()
        listed = real.etcdctl(self.url, "member", "list").stdout
        for line in listed.splitlines():
            words = line.split(", ")
            self.ids[int(words[2][1:])] = words[0]

    def _is_refused(self, sender, to):
        return self.cut is not None and self.cut in ("all", sender, self.ids.get(to))

    def start(self, number):
        self.members[number] = self.stack._start(
            Member, f"etcd-m{number}", self.stack.directory, number, *self.ports[number], self.names)

    def wait_healthy(self, without=None):
        """Every member (but one) answers a linearizable read."""
        for m in self.members:
            if m.number != without:
                real.wait_until(lambda: real.etcdctl(m.url, "get", "x", timeout=60).returncode == 0,
                                f"m{m.number} is healthy", 60)

    def leader(self, without=None):
        """The number of the member that the others call the leader."""
        for m in self.members:
            if m.number == without or not m.running():
                continue
            done = real.etcdctl(m.url, "endpoint", "status", "-w", "json", timeout=60)
            if done.returncode != 0:  # the columns of its other form change with the version
                continue
            status = json.loads(done.stdout)[0]["Status"]
            if status["leader"] == status["header"]["member_id"]:
                return m.number
        return None

    def make_leader(self, number):
        """On a busy machine they elect another one now and then: it is asked for again."""
        def leads():
            now = self.leader()
            if now not in (None, number):
                real.etcdctl(self.members[now].url, "move-leader", self.ids[number])
            return now == number
        real.wait_until(leads, f"m{number} leads", 90)

    def at(self, addr):
        return next(m.number for m in self.members if m.addr == addr)

    def kill(self, number):
        self.members[number].stop(signal.SIGKILL)

    def pause(self, number):
        self.members[number].send_signal(signal.SIGSTOP)

    def resume(self, number):
        self.members[number].send_signal(signal.SIGCONT)

    def cut_off(self, number):
        self.cut = self.ids[number]
        for gate in self.gates:
            gate.enforce()

    def cut_all(self):
        """Nobody hears anybody: there is no leader."""
        self.cut = "all"
        for gate in self.gates:
            gate.enforce()

    def heal(self):
        self.cut = None

    def close(self):
        for m in self.members:
            m.send_signal(signal.SIGCONT)
        for gate in self.gates:
            gate.close()
        for s in self.held:
            s.close()
