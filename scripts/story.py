# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart: the same commands without and with sidecars, then a playground.

Every step shows the command it runs and what came back, and ends in a claim that is checked. All
processes and files belong to one Stack, which ends them whatever happens.
"""

import os
import re
import shlex
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "tests", "e2e"))
import stack as real  # noqa: E402

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
NATS_CLIENT = os.path.abspath(os.environ["NATS_CLIENT"])
TENANTS = (("A", "llama-8b/version-A"), ("B", "llama-8b/version-B"), ("ROOT", "default"))


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Stopped(Exception):
    """Ctrl-C or a polite signal."""


class Story:
    def __init__(self, stack):
        self.stack = stack
        self.words = {}  # shell variable -> value, for what is shown
        self.failed = 0

    # telling

    def chapter(self, text):
        print(paint("1;36", "── " + text + " " + "─" * max(0, 74 - len(text))))

    def show(self, who, command, background=False):
        note = paint("2", f"   # {who}") if who else ""
        print(f"{paint('2', '$')} {command}{' &' if background else ''}{note}", flush=True)

    def came_back(self, text):
        for line in filter(None, text.splitlines()):
            print("  " + line)
        sys.stdout.flush()

    def claim(self, ok, text):
        self.failed += 0 if ok else 1
        print((paint("32", "✓ ") if ok else paint("31", "✗ ")) + text + "\n", flush=True)

    # doing

    def argv(self, command):
        expanded = re.sub(r"\$(\w+)", lambda m: self.words[m.group(1)], command)
        words = shlex.split(expanded)
        paths = {"etcdctl": real.find_program("etcdctl"), "nats_client": NATS_CLIENT}
        return [paths.get(words[0], words[0])] + words[1:]

    def do(self, who, command):
        """Runs to its end; returns everything it said."""
        self.show(who, command)
        done = real.run(self.argv(command), env={"ETCDCTL_API": "3"})
        said = (done.stdout + done.stderr).strip()
        self.came_back(said or paint("2", "(nothing)"))
        return said

    def start(self, who, command, until):
        """Starts in the background and waits for its first sign of life."""
        self.show(who, command, background=True)
        process = self.stack.process("story", self.argv(command), env={"ETCDCTL_API": "3"},
                                     stdout_is_log=False)
        if until:
            process.until(lambda: until in process.out(), f"{command}: {until}")
        return process


def heard(process):
    return "\n".join(line for line in process.out().splitlines()
                     if not line.startswith("listening on "))


def wait_end(process):
    real.wait_until(lambda: not process.running(), f"{shlex.join(process.argv)} ends")
    return heard(process)


def crosstalk(s):
    s.chapter("Without sidecars: two teams, one etcd, one NATS")
    s.do("version-A registers", 'etcdctl --endpoints $ETCD put models/llama "weights of A"')
    s.do("version-B registers", 'etcdctl --endpoints $ETCD put models/llama "weights of B"')
    said = s.do("version-A looks", "etcdctl --endpoints $ETCD get models/llama")
    s.claim("weights of B" in said, "crosstalk: A's key was overwritten by B")

    ear = s.start("version-A listens", "nats_client $NATS sub work 1", "listening")
    s.do("version-B publishes", 'nats_client $NATS pub work "for the workers of B"')
    said = wait_end(ear)
    s.came_back("version-A heard  " + said)
    s.claim(said == "work: for the workers of B", "crosstalk: A heard B's message")


def isolation_of_keys(s):
    s.chapter("The same commands through sidecars: keys")
    s.do("version-A", 'etcdctl --endpoints $ETCD_A put models/llama "weights of A"')
    s.do("version-B", 'etcdctl --endpoints $ETCD_B put models/llama "weights of B"')
    said = s.do("version-A", "etcdctl --endpoints $ETCD_A get models/llama")
    s.claim(said == "models/llama\nweights of A", "A reads what A wrote")
    said = s.do("version-B", 'etcdctl --endpoints $ETCD_B get --prefix ""')
    s.claim(said == "models/llama\nweights of B", 'B sees its own key, and no other, even under --prefix ""')
    said = s.do("default", 'etcdctl --endpoints $ETCD_ROOT get --prefix "" --keys-only')
    s.claim("models" not in said, "default has no keys yet")

    ear = s.start("version-A watches everything", 'etcdctl --endpoints $ETCD_A watch --prefix ""', None)
    # A watch says nothing when it begins: this is written until it is seen.
    s.show("until the watch shows it", "etcdctl --endpoints $ETCD_A put begin 1")
    def seen():
        done = real.etcdctl(s.words["ETCD_A"], "put", "begin", "1")
        return done.returncode == 0 and "begin" in ear.out()
    ear.until(seen, "the watch begins")
    s.do("version-B", 'etcdctl --endpoints $ETCD_B put secret "of B"')
    s.do("version-A", 'etcdctl --endpoints $ETCD_A put plan "of A"')
    ear.until(lambda: "of A" in ear.out(), "the watch sees A's put")
    ear.stop()
    said = ear.out()[ear.out().rindex("begin"):].split("\n", 2)[2]
    s.came_back("version-A saw  " + " ".join(said.split()))
    s.claim(said.split() == ["PUT", "plan", "of", "A"], "a watch on everything saw A's change, not B's")

    s.do("version-A", "etcdctl --endpoints $ETCD_A lease grant 60")
    said = s.do("version-B", "etcdctl --endpoints $ETCD_B lease list")
    s.claim(said == "found 0 leases", "B cannot see A's lease")


def isolation_of_messages(s):
    s.chapter("The same commands through sidecars: messages")
    ear = s.start("version-A hears everything", "nats_client $NATS_A sub '>' 1", "listening")
    s.do("version-B publishes", 'nats_client $NATS_B pub work "for the workers of B"')
    s.do("version-A publishes", 'nats_client $NATS_A pub work "for the workers of A"')
    said = wait_end(ear)
    s.came_back("version-A heard  " + said)
    s.claim(said == "work: for the workers of A", "a subscription on everything heard A only")

    service = s.start("version-A serves", 'nats_client $NATS_A reply help "A at your service"', "listening")
    said = s.do("version-B asks", 'nats_client $NATS_B request help please')
    s.claim(said == "no responders", "for B there is no such service")
    said = s.do("version-A asks", 'nats_client $NATS_A request help please')
    s.claim(said == "A at your service", "A's request is answered")
    service.stop()


def what_is_stored(s):
    s.chapter("What the shared servers really hold")
    said = s.do("etcd itself", 'etcdctl --endpoints $ETCD get --prefix bh/ --keys-only')
    stored = said.split()
    s.claim({"bh/d/llama-8b/version-A.models/llama", "bh/d/llama-8b/version-B.models/llama"}
            <= set(stored), "one slice for each namespace (bh/d data, bh/m the registry)")
    ear = s.start("NATS itself", "nats_client $NATS sub '>' 2", "listening")
    s.do("version-B publishes", "nats_client $NATS_B pub work hello")
    s.do("default publishes", "nats_client $NATS_ROOT pub work hello")
    said = wait_end(ear)
    s.came_back(said)
    s.claim(said.splitlines() == ["bh.e.llama-8b.version-B.~.~.work: hello",
                                  "bh.e.~.~.~.~.work: hello"], "one literal prefix for each namespace")


def playground(s, sidecars):
    s.chapter("Playground: everything stays up until Ctrl-C")
    print("Copy these lines into another terminal:\n")
    print(f"  cd {shlex.quote(real.ROOT)}; PATH=$PATH:$PWD/build/release/bin")
    for names in (("ETCD", "NATS"), *((f"ETCD_{t}", f"NATS_{t}") for t, _ in TENANTS)):
        print("  " + " ".join(f"{n}={s.words[n]}" for n in names))
    print("\nand try:\n")
    for line in ('etcdctl --endpoints $ETCD_A watch --prefix ""       # all that A can see',
                 "etcdctl --endpoints $ETCD_B put plan B             # A's watch stays silent",
                 "nats_client $NATS_A sub '>'                         # all that A can hear",
                 "nats_client $NATS_B pub work hello                  # A's subscription stays silent",
                 'etcdctl --endpoints $ETCD get --prefix "" --keys-only',
                 "bulkhead run --namespace team-a --etcd-upstream $ETCD --nats-upstream $NATS -- \\\n"
                 "      sh -c 'etcdctl put plan \"of team-a\"; etcdctl get --prefix \"\"'"):
        print("  " + line)
    for (name, path), sidecar in zip(TENANTS, sidecars):
        print(f"\n  metrics of {path}: http://{sidecar.health}/metrics", end="")
    print("\n", flush=True)
    stay_up(sidecars)


def stay_up(sidecars):
    """Until Ctrl-C."""
    try:
        while all(p.running() for p in sidecars):
            time.sleep(0.5)
    except Stopped:
        print("\nStopping. Nothing stays behind.", flush=True)
        return
    raise real.StackError("a sidecar ended by itself")


def tell(once):
    with real.Stack("quickstart") as stack:
        s = Story(stack)
        print("\nStarting etcd, nats-server and three sidecars in " + stack.directory, flush=True)
        etcd, nats = stack.etcd(), stack.nats()
        s.words = {"ETCD": etcd.url, "NATS": nats.url}
        print(f"  {'etcd':28} {etcd.url}\n  {'nats-server':28} {nats.url}")
        sidecars = []
        for name, path in TENANTS:
            sidecar = stack.sidecar(path, etcd, nats)
            sidecars.append(sidecar)
            s.words["ETCD_" + name], s.words["NATS_" + name] = sidecar.etcd_url, sidecar.nats_url
            print(f"  {'bulkhead ' + path:28} {sidecar.etcd_url} {sidecar.nats_url}", flush=True)
        print()
        for scene in (crosstalk, isolation_of_keys, isolation_of_messages, what_is_stored):
            scene(s)
        print(paint("1", "All of it held." if s.failed == 0 else f"{s.failed} claims did not hold."))
        if not once and s.failed == 0:
            playground(s, sidecars)
        return 1 if s.failed else 0


def on_signal(number, frame):
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(n, signal.SIG_IGN)  # cleaning up is not interrupted
    raise Stopped(number)


def main(tell):
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(n, on_signal)
    try:
        return tell(once="--once" in sys.argv[1:])
    except Stopped as e:
        return 128 + e.args[0]
    except real.StackError as e:
        print(f"\n✗ {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


if __name__ == "__main__":
    sys.exit(main(tell))
