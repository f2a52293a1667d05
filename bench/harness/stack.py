# SPDX-License-Identifier: Apache-2.0
"""Starts and ends the real processes of one scenario, and reads what the kernel knows of them.

Everything listens on loopback, on ports that were free a moment before, with its data in a
temporary directory on tmpfs. Only processes started here are ended, by their pid; the kernel ends
them too if this program is killed (PR_SET_PDEATHSIG).
"""
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

START_S = 20
SETTLE_COMMITS, SETTLE_S = 3, 0.3  # etcd commits every 0.1 s
NAMESPACE = "bench/a"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class StackError(Exception):
    """Something did not start or died."""


def tool(name):
    """The distribution's program before any other of that name on the PATH, because it is the one
    that the table names; None where there is none."""
    return shutil.which(name, path="/usr/bin:/usr/sbin") or shutil.which(name)


def missing(binaries, need_sidecar):
    """What is not there and how to get it, or None."""
    for name, package in (("etcd", "etcd-server"), ("nats-server", "nats-server")):
        if tool(name) is None:
            return f"{name} is missing: apt-get install {package}"
    loads = ("etcd", "streams", "nats", "many", "js")
    names = ["bench_relay", "bench_ready_time"] + [f"bench_load_{load}" for load in loads]
    for name in names + (["bulkhead"] if need_sidecar else []):
        if not (binaries / name).exists():
            return f"{binaries / name} is missing: build the release preset"
    return None


def raise_file_limit():
    """1000 connections are 2000 descriptors in whatever is in the middle."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child. Its standard error goes to a file of the stack's directory."""

    def __init__(self, name, command, directory, stdin=subprocess.DEVNULL):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(  # pylint: disable=consider-using-with
                [str(c) for c in command], stdin=stdin, stdout=subprocess.PIPE, stderr=log,
                cwd=directory, preexec_fn=_die_with_parent)
        self.pid = self.popen.pid

    def line(self, timeout_s=START_S):
        """The first line of standard output."""
        end = time.monotonic() + timeout_s
        text = b""
        fd = self.popen.stdout.fileno()
        while b"\n" not in text:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                raise StackError(f"{self.name} said nothing in {timeout_s} s: {self.last_words()}")
            piece = os.read(fd, 4096)
            if not piece:
                raise StackError(f"{self.name} ended: {self.last_words()}")
            text += piece
        return text.decode(errors="replace").split("\n", maxsplit=1)[0]

    def last_words(self):
        return self.log.read_text(errors="replace")[-500:].strip()

    def is_alive(self):
        return self.popen.poll() is None

    def stop(self):
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        if self.is_alive():
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.popen.stdout.close()

    def memory_kib(self):
        """Pss, private and Rss in KiB (smaps_rollup)."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        kib = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        return {"pss": kib["Pss"], "private": kib["Private_Clean"] + kib["Private_Dirty"],
                "rss": kib["Rss"]}

    def peak_kib(self):
        """The most that was ever resident (VmHWM)."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.M).group(1))

    def cpu_s(self):
        total = 0
        for f in pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError):
                total += int(f.read_text(encoding="ascii").split()[0])
        return total / 1e9


def parse_ready(line):
    """{'etcd': 'HOST:PORT', …} from `ready etcd=HOST:PORT nats=HOST:PORT …`."""
    if not line.startswith("ready"):
        raise StackError(f"not a ready line: {line!r}")
    return dict(re.findall(r"(\w+)=(\S+)", line))


class Stack:
    """The servers of one scenario. Use as a context manager."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.etcd_client = None
        self.processes = []
        shm = pathlib.Path("/dev/shm")
        on_tmpfs = shm.is_dir() and os.access(shm, os.W_OK)
        self.directory = pathlib.Path(
            tempfile.mkdtemp(prefix="bulkhead-bench-", dir=shm if on_tmpfs else None))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for p in reversed(self.processes):
            p.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, name, command, **kw):
        p = Process(name, command, self.directory, **kw)
        self.processes.append(p)
        return p

    def stop(self, process):
        process.stop()
        self.processes.remove(process)

    def _wait(self, process, what, condition):
        end = time.monotonic() + START_S
        while not condition():
            if not process.is_alive() or time.monotonic() > end:
                raise StackError(f"{process.name}: not {what}: {process.last_words()}")
            time.sleep(0.02)

    def etcd(self, name="etcd"):
        """Client address. No snapshots and no compaction while measuring; quota out of reach."""
        client, peer = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        p = self.start(name, [
            tool("etcd"), "--name", "b", "--data-dir", self.directory / name,
            "--listen-client-urls", f"http://{client}",
            "--advertise-client-urls", f"http://{client}",
            "--listen-peer-urls", f"http://{peer}",
            "--initial-advertise-peer-urls", f"http://{peer}",
            "--initial-cluster", f"b=http://{peer}", "--log-level", "error",
            "--snapshot-count", "100000000", "--quota-backend-bytes", str(8 << 30)])

        def healthy():
            try:
                with urllib.request.urlopen(f"http://{client}/health", timeout=2) as r:
                    return b"true" in r.read()
            except OSError:
                return False
        self._wait(p, "healthy", healthy)
        self.etcd_client = client
        return client

    def settle_etcd(self):
        """As an etcd is that is written to now and then: its read buffer is empty. 3.4 copies the
        whole of it for every Range, and what a burst of puts leaves there stays until a batch is
        committed that has no put in it (mvcc/backend/tx_buffer.go)."""
        for _ in range(SETTLE_COMMITS):
            grant = urllib.request.Request(f"http://{self.etcd_client}/v3/lease/grant",
                                           data=b'{"TTL":600}', method="POST")
            with urllib.request.urlopen(grant, timeout=START_S):
                time.sleep(SETTLE_S)

    def _log_says(self, process, text):
        return lambda: text in process.log.read_text(errors="replace")

    def nats(self, jetstream=False, monitor=False):
        """Client address, leaf-node address, and that of the monitor. Streams are in memory."""
        client, leaf = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        http = f"127.0.0.1:{free_port()}"
        config = self.directory / "nats.conf"
        config.write_text(f'listen: "{client}"\nleafnodes {{ listen: "{leaf}" }}\n'
                          + (f'jetstream {{ store_dir: "{self.directory}/js" }}\n'
                             if jetstream else "")
                          + (f'http: "{http}"\n' if monitor else ""))
        p = self.start("nats", [tool("nats-server"), "-c", config])
        self._wait(p, "ready", self._log_says(p, "Server is ready"))
        return (client, leaf, http) if monitor else (client, leaf)

    def leaf_command(self, name, leaf, client):
        config = self.directory / f"{name}.conf"
        config.write_text(f'listen: "{client}"\n'
                          f'leafnodes {{ remotes = [ {{ url: "nats-leaf://{leaf}" }} ] }}\n')
        return [tool("nats-server"), "-c", config]

    def leaf(self, name, leaf):
        client = f"127.0.0.1:{free_port()}"
        p = self.start(name, self.leaf_command(name, leaf, client))
        self._wait(p, "connected to its hub", self._log_says(p, "Leafnode connection created"))
        return client, p

    def relay_command(self, etcd=None, nats=None):
        return [self.binaries / "bench_relay"] + [
            f"{name}=127.0.0.1:0,{up}" for name, up in (("etcd", etcd), ("nats", nats)) if up]

    def relay(self, **upstreams):
        p = self.start("relay", self.relay_command(**upstreams))
        return parse_ready(p.line()), p

    def sidecar_command(self, etcd=None, nats=None, namespace=NAMESPACE, view="own"):
        command = [self.binaries / "bulkhead", "serve", "--namespace", namespace, "--view", view,
                   "--log-level", "warn"]
        for name, up in (("etcd", etcd), ("nats", nats)):
            if up:
                command += [f"--{name}-upstream", up, f"--{name}-listen", "127.0.0.1:0"]
        return command

    def sidecar(self, **upstreams):
        p = self.start("sidecar", self.sidecar_command(**upstreams))
        return parse_ready(p.line()), p

    def grpc_proxy_command(self, etcd, listen):
        return [tool("etcd"), "grpc-proxy", "start", "--endpoints", etcd, "--listen-addr", listen,
                "--advertise-client-url", "", "--namespace", f"{NAMESPACE}/",
                "--data-dir", self.directory / "grpc-proxy"]

    def grpc_proxy(self, etcd):
        listen = f"127.0.0.1:{free_port()}"
        p = self.start("grpc-proxy", self.grpc_proxy_command(etcd, listen))

        def accepts():
            with contextlib.suppress(OSError), socket.create_connection(
                    ("127.0.0.1", int(listen.rsplit(":", 1)[1])), timeout=1):
                return True
            return False
        self._wait(p, "listening", accepts)
        return listen, p
