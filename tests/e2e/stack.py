# SPDX-License-Identifier: Apache-2.0
"""Real servers and sidecars on free loopback ports, in one temporary directory, always cleaned up.

    with Stack() as stack:
        store = stack.etcd()
        bus = stack.nats()
        a = stack.sidecar("team-a", store, bus)
        a.etcd, a.nats, a.health          # "127.0.0.1:PORT", from the ready line

Law of this file: no fixed port, no sleep as a condition, nothing killed but what was started here, by
process id. Children die with this process (PR_SET_PDEATHSIG) even when it is killed with -9, so start
them from the main thread only. Used by the tests and by scripts/quickstart; standard library only.
"""

import ctypes
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
WAIT_S = float(os.environ.get("E2E_WAIT_S", "30"))  # patience with any one condition
STOP_S = 30.0  # a process that got SIGTERM; then SIGKILL, and that is a failure
ETCDCTL_PATIENCE = "--command-timeout=25s"  # its own 5 s are short for a busy machine

# Some shells allow 256 open files; a flood of connections needs more.
_soft, _hard = (float("inf") if n == resource.RLIM_INFINITY else n for n in resource.getrlimit(resource.RLIMIT_NOFILE))
if _soft < 4096:
    resource.prlimit(0, resource.RLIMIT_NOFILE, (min(_hard, 4096), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_ENDINGS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def _in_child():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)


def _spawn(owner, argv, **kwargs):
    """owner.popen = a new child. A signal that arrives meanwhile waits until the child is known, so
    that none is forgotten."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    try:
        owner.popen = subprocess.Popen(argv, start_new_session=True, preexec_fn=_in_child, **kwargs)
        owner.pid = owner.popen.pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StackError(Exception):
    """Something did not start, stop or become true; the text says what and shows its log."""


def wait_until(condition, what, timeout=None):
    """Polls until condition() is truthy and returns its value."""
    timeout = WAIT_S if timeout is None else timeout
    end = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise StackError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def free_port():
    """For programs that want a port that nobody has bound, and start at once; others take Stack.port()."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def held_port():
    """A socket that keeps its port from everybody who asks for any; it does not listen, so a server that asks
    for this one gets it (both say SO_REUSEADDR), and again when it is started again."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    return s


def find_program(name):
    """Debian's program before any other, so that two machines test the same; E2E_ETCD,
    E2E_NATS_SERVER, … name another one. If there is none, the error names the package."""
    chosen = os.environ.get("E2E_" + name.upper().replace("-", "_"))
    found = chosen or shutil.which(name, path="/usr/bin:/usr/sbin:" + os.environ.get("PATH", ""))
    if not found:
        package = {"etcd": "etcd-server", "etcdctl": "etcd-client", "promtool": "prometheus"}.get(name, name)
        raise StackError(f"{name} is not installed: apt-get install {package}")
    return found


def sidecar_binary():
    path = os.path.abspath(os.environ.get("BULKHEAD", ""))
    if not path or not os.access(path, os.X_OK):
        raise StackError("BULKHEAD must name the bulkhead program (ctest sets it): " + repr(path))
    return path


def is_sanitized(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


class Process:
    """One child, its log files and its end."""

    def __init__(self, name, argv, directory, env=None, stdout_is_log=True, wrap=()):
        """wrap: words before argv, a program that becomes argv[0] in another namespace or as another user."""
        argv = [*wrap, *argv]
        self.name, self.argv = name, argv
        self.log_path = os.path.join(directory, name + ".log")
        self.out_path = self.log_path if stdout_is_log else os.path.join(directory, name + ".out")
        full_env = dict(os.environ)
        # The caller's own settings would point clients and sidecars elsewhere.
        for key in list(full_env):
            if key.startswith(("ETCD", "NATS", "DYN", "BULKHEAD_")):
                del full_env[key]
        full_env.update(env or {})
        with open(self.log_path, "wb") as err, open(self.out_path, "ab") as out:
            _spawn(self, argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=full_env, cwd=directory)

    def peak_kib(self):
        """The most that was ever resident."""
        with open(f"/proc/{self.pid}/status") as f:
            return int(next(line for line in f if line.startswith("VmHWM")).split()[1])

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode(errors="replace")

    def out(self):
        with open(self.out_path, "rb") as f:
            return f.read().decode(errors="replace")

    def tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])

    def running(self):
        return self.popen.poll() is None

    def until(self, condition, what, timeout=None):
        """wait_until, but a child that ends meanwhile is an error at once."""
        def check():
            value = condition()
            if not value and not self.running():
                raise StackError(f"{self.name} ended with status {self.popen.returncode} before: "
                                 f"{what}\n{self.tail()}")
            return value
        try:
            return wait_until(check, what, timeout)
        except StackError as e:
            raise StackError(f"{e}\n--- {self.name}: {shlex.join(self.argv)}\n{self.tail()}") from None

    def send_signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, timeout=STOP_S):
        """Ends the child and returns its status (negative: a signal)."""
        if not self.running():
            return self.popen.returncode
        self.send_signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise StackError(f"{self.name} did not end within {timeout:g} s of signal "
                             f"{int(number)}\n{self.tail()}") from None


class Etcd(Process):
    LINE = re.compile(r'serving client traffic insecurely[^\n]*"address":"([^"]+)"')

    def __init__(self, name, directory, port=0, data=None, host="127.0.0.1", wrap=(), extra=()):
        data = data or os.path.join(directory, name + ".data")
        url = f"http://{host}:{port}"
        super().__init__(name, [
            find_program("etcd"), "--name", "default", "--data-dir", data,
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", "http://127.0.0.1:0",
            "--initial-advertise-peer-urls", "http://127.0.0.1:0",
            "--initial-cluster", "default=http://127.0.0.1:0",
            "--enable-grpc-gateway=false", "--logger", "zap", "--log-outputs", "stderr", *extra], directory, wrap=wrap)
        self.data = data
        match = self.until(lambda: self.LINE.search(self.log()), "etcd serves clients")
        self.addr = match.group(1)
        self.url = "http://" + self.addr


class Nats(Process):
    """.monitor: HOST:PORT of its pages, if extra asks for them."""

    def __init__(self, name, directory, port=-1, extra=(), host="127.0.0.1", wrap=()):
        ports = os.path.join(directory, name + ".ports")
        os.mkdir(ports)
        super().__init__(name, [find_program("nats-server"), "-a", host, "-p", str(port),
                                "--ports_file_dir", ports, *extra], directory, wrap=wrap)
        def read():
            for entry in os.listdir(ports):
                try:
                    with open(os.path.join(ports, entry)) as f:
                        places = json.load(f)
                        return "nats" in places and places
                except ValueError:
                    return None
            return None
        places = self.until(read, "nats-server writes its port")
        self.url = places["nats"][0]
        self.addr = self.url.removeprefix("nats://")
        self.monitor = places.get("monitoring", [""])[0].removeprefix("http://")
        shutil.rmtree(ports)


READY = re.compile(r"^ready(?P<rest>( \w+=\S+)*)$", re.M)


class Sidecar(Process):
    """`bulkhead serve`; .etcd .nats .health are HOST:PORT of the ready line, or None."""

    upstream = None  # of NATS

    def __init__(self, name, directory, namespace, etcd=None, nats=None, args=(), env=None):
        argv = [sidecar_binary(), "serve"]
        if namespace is not None:
            argv += ["--namespace", namespace]
        if etcd:
            argv += ["--etcd-upstream", etcd, "--etcd-listen", "127.0.0.1:0"]
        if nats:
            argv += ["--nats-upstream", nats, "--nats-listen", "127.0.0.1:0"]
        argv += ["--health-listen", "127.0.0.1:0", *args]
        self.namespace, self.upstream = namespace, nats
        super().__init__(name, argv, directory, env=env, stdout_is_log=False)
        match = self.until(lambda: READY.search(self.out()), "the ready line")
        places = dict(word.split("=", 1) for word in match.group("rest").split())
        self.etcd, self.nats, self.health = (places.get(k) for k in ("etcd", "nats", "health"))
        self.etcd_url = self.etcd and "http://" + self.etcd
        self.nats_url = self.nats and "nats://" + self.nats

    def check_clean(self):
        """Raises if a sanitizer spoke. The leak report comes at exit: call it after stop()."""
        log = self.log()
        if "Sanitizer" in log or "runtime error:" in log or "check failed" in log:
            raise StackError(f"{self.name}: a sanitizer or a check spoke\n{log[-6000:]}")

    def finish(self):
        """SIGTERM; the sidecar must end by itself, with status 0 and nothing to report."""
        status = self.stop()
        self.check_clean()
        if status != 0:
            raise StackError(f"{self.name} ended with {status}, not 0\n{self.tail()}")


class Lines(Process):
    """A child that answers every line with one line: etcd_client, nats_client."""

    def __init__(self, name, directory, argv):
        self.name, self.argv, self.buffer = name, argv, b""
        self.log_path = os.path.join(directory, name + ".log")
        with open(self.log_path, "wb") as err:
            _spawn(self, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err)

    def tell(self, line):
        """Sends a command; its answer is fetched by answer(), so several clients can be waited on."""
        try:
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise StackError(f"{self.name} is gone before {line!r}: {self.log()}") from None

    def answer(self, timeout=None):
        end = time.monotonic() + (WAIT_S * 2 if timeout is None else timeout)
        out = self.popen.stdout.fileno()
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            data = os.read(out, 65536) if ready else b""
            if not data:
                why = "ended" if ready else "does not answer"
                raise StackError(f"{self.name} {why}: {self.log()}")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode(errors="replace")

    def ask(self, line, timeout=None):
        self.tell(line)
        return self.answer(timeout)

    def stop(self, number=signal.SIGTERM, timeout=STOP_S):
        status = super().stop(number, timeout)
        for pipe in (self.popen.stdin, self.popen.stdout):
            try:
                pipe.close()
            except BrokenPipeError:  # what was buffered for a child that is gone
                pass
        return status


class Stack:
    """Owns the temporary directory and every process started through it."""

    def __init__(self, label="e2e", unheard=None):
        """unheard: why no eavesdropper (eavesdrop.py) listens; only tests have one."""
        self.directory = tempfile.mkdtemp(prefix=f"bulkhead-{label}-")
        self.processes = []
        self.held = []
        self.eavesdrops = unheard is None and os.path.basename(sys.argv[0]).endswith("_test.py")
        self.eavesdroppers = {}
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close(verify=kind is None)

    def _name(self, base):
        self.count += 1
        return f"{self.count:02d}-{base}"

    def _start(self, cls, base, *args, **kwargs):
        process = cls.__new__(cls)
        self.processes.append(process)
        process.popen = None
        process.__init__(self._name(base), *args, **kwargs)
        return process

    def etcd(self, name="etcd", **kwargs):
        return self._start(Etcd, name, self.directory, **kwargs)

    def nats(self, name="nats", **kwargs):
        if self.eavesdrops and not kwargs.get("wrap"):
            kwargs["extra"] = (*kwargs.get("extra", ()), "-m", "-1")
        return self._start(Nats, name, self.directory, **kwargs)

    def servers_of(self, upstream):
        """The NATS servers here that run and that upstream names."""
        return [p for p in self.processes if isinstance(p, Nats) and p.popen and p.running()
                and p.addr in (part.split("//")[-1] for part in upstream.split(","))]

    def sidecar(self, namespace, etcd=None, nats=None, **kwargs):
        upstream = getattr(nats, "url", nats)
        if self.eavesdrops and upstream not in (None, *self.eavesdroppers) and self.servers_of(upstream):
            import eavesdrop
            self.eavesdroppers[upstream] = eavesdrop.Eavesdropper(self, upstream)
        label = re.sub(r"[^A-Za-z0-9]+", "-", namespace or "unset")
        return self._start(Sidecar, "sidecar-" + label, self.directory, namespace,
                           getattr(etcd, "url", etcd), upstream, **kwargs)

    def process(self, name, argv, **kwargs):
        return self._start(Process, name, argv, self.directory, **kwargs)

    def lines(self, name, argv):
        return self._start(Lines, name, self.directory, argv)

    def etcd_client(self, addr, name="etcd-client"):
        return self.lines(name, [os.environ["ETCD_CLIENT"], addr])

    def nats_client(self, url, name="nats-client"):
        return self.lines(name, [os.environ["NATS_CLIENT"], url])

    def path(self, name):
        return os.path.join(self.directory, name)

    def port(self):
        """Of 127.0.0.1, for a program that cannot be asked to choose or that is started again: held to the end."""
        self.held.append(held_port())
        return self.held[-1].getsockname()[1]

    def close(self, verify=True):
        """Ends everything, newest first, and removes the directory. With verify, a sidecar that
        does not end cleanly is an error, raised after all is gone."""
        failure = None
        for eavesdropper in self.eavesdroppers.values():
            try:
                if verify:
                    eavesdropper.judge()
            except (StackError, OSError, LookupError, ValueError) as e:
                failure = failure or e
            finally:
                eavesdropper.close()
        self.eavesdroppers.clear()
        while self.processes:
            process = self.processes.pop()
            if process.popen is None:
                continue
            try:
                if isinstance(process, Sidecar) and verify and process.running():
                    process.finish()
                else:
                    process.stop()
                    if isinstance(process, Sidecar):
                        process.check_clean()
            except (StackError, OSError) as e:
                failure = failure or e
            finally:
                if process.running():
                    process.popen.kill()
                    process.popen.wait()
        while self.held:
            self.held.pop().close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if failure and verify:
            raise failure
        if failure:
            print(f"while cleaning up: {failure}", file=sys.stderr)


def run(argv, stdin=None, env=None, timeout=60, **kwargs):
    """One command to its end: CompletedProcess with text. A status is the caller's to judge."""
    full_env = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD", "NATS", "DYN"))}
    full_env.update(env or {})
    return subprocess.run(argv, input=stdin, env=full_env, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_in_child, **kwargs)


def etcdctl(endpoint, *args, stdin=None, timeout=60):
    return run([find_program("etcdctl"), ETCDCTL_PATIENCE, "--endpoints", endpoint, *args], stdin=stdin, timeout=timeout)


def http_get(addr, path):
    """(status, body) by HTTP/1.1 over a plain socket."""
    host, port = addr.rsplit(":", 1)
    with socket.create_connection((host, int(port)), WAIT_S) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()
