# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/quickstart --dynamo: two eras of real Dynamo, at once, on one etcd and one NATS.

First without sidecars: a tenant's frontend sends requests to the other tenant's worker. Then a tree of
namespaces through sidecars; who talked to whom is drawn from the metrics and the routers' logs (SVG)."""

import os
import re
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "e2e")]
import dynamo_world as world  # noqa: E402
import stack as real  # noqa: E402
import story  # noqa: E402

TENANTS = ("llama-8b/version-A", "llama-8b/version-B")
PARENTS = ("llama-8b", "default")
STRANGER = "qwen"
LEASE_S = 10  # of a Dynamo process; what it registered is gone this long after it was killed
SLACK_S = 5  # etcd looks for leases that are over now and then, and this machine is busy


def shares(counter, workers):
    """"version-A 11, version-B 9" for people."""
    names = {w.id: w.who for w in workers}
    return ", ".join(f"{names.get(i, 'somebody else')} {n}" for i, n in sorted(counter.items())) or "nobody"


class Tree:
    """Sidecars as pods have them: a worker's sees its own namespace, a frontend's its descendants', too."""

    def __init__(self, stack, etcd, nats):
        self.stack, self.etcd, self.nats = stack, etcd, nats
        self.workers, self.frontends, self.sidecars = [], [], {}

    def sidecar(self, namespace, view):
        if (namespace, view) not in self.sidecars:
            self.sidecars[namespace, view] = self.stack.sidecar(namespace, self.etcd, self.nats, args=("--view", view))
        return self.sidecars[namespace, view]

    def worker(self, era, namespace):
        sidecar = self.sidecar(namespace, "own")
        self.workers.append(world.Worker(self.stack, era, self.etcd, namespace, sidecar.etcd_url, sidecar.nats_url))

    def frontend(self, era, namespace):
        sidecar = self.sidecar(namespace, "subtree")
        self.frontends.append(world.Frontend(self.stack, era, namespace, sidecar.etcd_url, sidecar.nats_url))

    def of(self, era, kind):
        return [x for x in (self.workers if kind == "workers" else self.frontends) if x.era is era]


def crosstalk(s, stack, etcd, nats):
    s.chapter("Without sidecars: two teams serve one model name on one etcd and one NATS")
    for era in world.ERAS:
        workers = [world.Worker(stack, era, etcd, who, etcd.url, nats.url) for who in TENANTS]
        frontends = [world.Frontend(stack, era, who, etcd.url, nats.url) for who in TENANTS]
        for frontend in frontends:
            frontend.until_listed()
        answered, selected = settle(frontends[0], 20, {w.id for w in workers})
        s.came_back(f"Dynamo {era.name}: 20 requests to the frontend of {TENANTS[0]} were served by: {shares(selected, workers)}")
        s.claim(answered == 20 and selected[workers[1].id] > 0,
                f"crosstalk: {selected[workers[1].id]} of {TENANTS[0]}'s 20 requests went to {TENANTS[1]}'s worker")
        for x in frontends + workers:
            x.process.stop()
    real.wait_until(lambda: not any(world.stored_ids(era, etcd) for era in world.ERAS), "their registrations are gone", 30)


def settle(frontend, count, expected):
    """Asks until the router has selected everyone that it should know (it hears of a worker a moment after
    the model is listed), then counts `count` requests."""
    def all_selected():
        frontend.ask_many(2)
        return expected <= set(frontend.selections())
    frontend.process.until(all_selected, f"the frontend of {frontend.who} reaches {len(expected)} workers", 60)
    return frontend.ask_many(count)


def start_tree(s, tree):
    s.chapter("The same programs through sidecars, both eras at once")
    for era in world.ERAS:
        for namespace in TENANTS:
            tree.worker(era, namespace)
        for namespace in TENANTS + PARENTS + (STRANGER,):
            tree.frontend(era, namespace)
    for frontend in tree.frontends:
        if frontend.who != STRANGER:
            frontend.until_listed()
    s.came_back(f"{len(tree.workers)} workers, {len(tree.frontends)} frontends, {len(tree.sidecars)} sidecars")
    for era in world.ERAS:
        s.came_back("\n".join(sorted(world.stored_ids(era, tree.etcd).values())))
    s.claim(all(key.startswith("bh/d/llama-8b/version-") for era in world.ERAS for key in world.stored_ids(era, tree.etcd).values()),
            "every worker is registered in its own slice")


def who_reaches_whom(s, tree, pairs):
    for era in world.ERAS:
        workers = tree.of(era, "workers")
        for frontend in tree.of(era, "frontends"):
            if frontend.who == STRANGER:
                real.wait_until(lambda: frontend.models() is not None, "the stranger's frontend answers", 60)
                s.claim(frontend.models() == [] and not frontend.ask("hello"),
                        f"Dynamo {era.name}: the frontend of {STRANGER} lists no model and gets no answer")
                continue
            mine = [w for w in workers if w.who == frontend.who or frontend.who in PARENTS]
            asked = 20 * len(mine)
            answered, selected = settle(frontend, asked, {w.id for w in mine})
            for worker in workers:
                pairs[frontend, worker] = selected[worker.id]
            s.came_back(f"Dynamo {era.name}: {asked} requests to the frontend of {frontend.who}: {shares(selected, workers)}")
            fair = all(selected[w.id] >= asked / 10 for w in mine)
            s.claim(answered == asked and fair and set(selected) == {w.id for w in mine},
                    f"the frontend of {frontend.who} reaches {'only its worker' if len(mine) == 1 else 'both workers, balanced'}")


def events_arrive(s, tree):
    """A router learns from the workers' KV events what they have cached: asked the same again, it says so."""
    for era in world.ERAS:
        for frontend in tree.of(era, "frontends"):
            if frontend.who == STRANGER:
                continue
            def known():
                frontend.ask(frontend.who + " asks the same over and over" * 30)
                return frontend.overlap() >= 10
            frontend.process.until(known, f"KV events reach the frontend of {frontend.who} ({era.name})", 60)
            s.claim(True, f"Dynamo {era.name}: KV events reach the router of {frontend.who}: "
                          f"{frontend.overlap()} blocks of a repeated prompt known to be cached")


def killed(s, tree):
    s.chapter(f"The worker of {TENANTS[0]} is killed")
    for era in world.ERAS:
        victim, other = tree.of(era, "workers")
        victim.process.stop(9)
        began = time.monotonic()
        real.wait_until(lambda: victim.id not in world.stored_ids(era, tree.etcd), "its lease ends", LEASE_S * 3)
        took = time.monotonic() - began
        s.came_back(f"its registration was gone after {took:.1f} s (a lease of {LEASE_S} s)")
        s.claim(took < LEASE_S + SLACK_S, f"Dynamo {era.name}: the worker is gone within its lease")
        for frontend in tree.of(era, "frontends"):
            if frontend.who == TENANTS[0]:
                real.wait_until(lambda: not frontend.models(), f"{frontend.who} lists nothing", 30)
                s.claim(True, f"Dynamo {era.name}: the model is gone from the frontend of {frontend.who}")
            elif frontend.who != STRANGER:
                def only_other():
                    answered, selected = frontend.ask_many(6)
                    return answered == 6 and set(selected) == {other.id}
                real.wait_until(only_other, f"{frontend.who} uses the other worker only", 30)
                s.claim(frontend.models() == [frontend.model],
                        f"Dynamo {era.name}: the frontend of {frontend.who} goes on with {other.who}'s worker")


def messages(sidecar):
    text = real.http_get(sidecar.health, "/metrics")[1]
    return sum(int(float(n)) for n in re.findall(r"^bulkhead_messages_total\{[^}]*\} (\S+)$", text, re.M))


def nothing_foreign(s, tree):
    odd = []
    for (namespace, view), sidecar in tree.sidecars.items():
        text = real.http_get(sidecar.health, "/metrics")[1]
        odd += [f"{namespace} ({view}): {line}" for line in
                re.findall(r"^bulkhead_(?:denied|foreign|protocol_errors)_total\{.*\} [1-9].*$", text, re.M)]
    s.came_back("\n".join(odd))
    s.claim(not odd, "nothing was denied, foreign or malformed in any sidecar")


def text(x, y, words, more=""):
    """With a rim, so that it can be read on a line."""
    return f'<text x="{x:.0f}" y="{y:.0f}" stroke="#fff" stroke-width="4" paint-order="stroke" {more}>{words}</text>'


def picture(tree, pairs, path):
    """Frontends left, workers right, a line as thick as the requests that went over it, in its worker's colour;
    below, the NATS messages that each sidecar moved for both eras (bulkhead_messages_total)."""
    out, lines, words = [], [], []
    y, colours = 70, ("#1a56db", "#b45309", "#0f766e", "#9d174d")
    for era in world.ERAS:
        words.append(text(20, y, f"Dynamo {era.name}", 'font-weight="bold"'))
        fronts, works = tree.of(era, "frontends"), tree.of(era, "workers")
        high = 60 * (len(fronts) - 1)
        places = {x: (280, y + 34 + 60 * i) for i, x in enumerate(fronts)}
        places |= {x: (650, y + 34 + high * (2 * i + 1) / (2 * len(works))) for i, x in enumerate(works)}
        for front in fronts:
            (x1, y1), sent = places[front], [(w, pairs.get((front, w), 0)) for w in works]
            words.append(text(x1 - 14, y1 + 5, f"frontend of {front.who}", 'text-anchor="end"'))
            out.append(f'<circle cx="{x1}" cy="{y1}" r="7" fill="{"#374151" if any(n for _, n in sent) else "#d1d5db"}"/>')
            if not any(n for _, n in sent):
                words.append(text(x1 + 16, y1 + 5, "reached nobody", 'fill="#6b7280"'))
            for i, (work, n) in enumerate(sent):
                if n:
                    (x2, y2), at = places[work], 0.14 + 0.06 * i
                    lines.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2:.0f}" stroke="{colours[i % 4]}" stroke-opacity=".5" '
                                 f'stroke-width="{1 + n / 4:.1f}"/>')
                    words.append(text(x1 + at * (x2 - x1), y1 + at * (y2 - y1) + 5, n, f'text-anchor="middle" fill="{colours[i % 4]}"'))
        for i, work in enumerate(works):
            served = sum(n for (_, w), n in pairs.items() if w is work)
            out.append(f'<circle cx="{places[work][0]}" cy="{places[work][1]:.0f}" r="9" fill="{colours[i % 4]}"/>')
            words.append(text(places[work][0] + 18, places[work][1] + 5, f"worker of {work.who}: served {served}"))
        y += high + 100
    words.append(text(20, 30, "Who served whose requests: one model name, one etcd, one NATS, one sidecar for each namespace and view",
                      'font-weight="bold"'))
    words.append(text(20, y - 20, "NATS messages that each sidecar moved, both eras together:"))
    for i, ((namespace, view), sidecar) in enumerate(sorted(tree.sidecars.items())):
        words.append(text(40, y + 4 + 20 * i, f"{namespace}, view {view}: {messages(sidecar)}"))
    y += 20 * len(tree.sidecars) + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="{y}" font-family="sans-serif" font-size="14">'
    with open(path, "w") as f:
        f.write("\n".join([head, f'<rect width="1000" height="{y}" fill="#fff"/>', *lines, *out, *words, "</svg>"]) + "\n")


def tell(once):
    with real.Stack("dynamo") as stack:
        s = story.Story(stack)
        print("\nStarting etcd and nats-server in " + stack.directory, flush=True)
        etcd, nats = stack.etcd(), stack.nats(extra=("-js", "-sd", stack.path("jetstream")))
        world.make_model(stack)
        crosstalk(s, stack, etcd, nats)
        tree, pairs = Tree(stack, etcd, nats), {}
        start_tree(s, tree)
        who_reaches_whom(s, tree, pairs)
        events_arrive(s, tree)
        svg = os.environ.get("DYNAMO_SVG") or os.path.join(real.ROOT, "build", "dynamo.svg")
        picture(tree, pairs, svg)
        s.came_back("who talked to whom: " + svg)
        killed(s, tree)
        nothing_foreign(s, tree)
        print(story.paint("1", "All of it held." if s.failed == 0 else f"{s.failed} claims did not hold."))
        if not once and s.failed == 0:
            s.chapter("Playground: everything stays up until Ctrl-C")
            for frontend in tree.frontends:
                print(f"  {frontend.era.name} {frontend.who:20} curl {frontend.url}/v1/models")
            story.stay_up(tree.sidecars.values())
        return 1 if s.failed else 0


if __name__ == "__main__":
    sys.exit(story.main(tell))
