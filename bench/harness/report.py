# SPDX-License-Identifier: Apache-2.0
"""Turns raw rounds into the table: ratios first, then the medians they come from."""
import json
import statistics
import time

from . import measure, scenarios



def _values(got, target, metric):
    return [r[target][metric] for r in got["rounds"]
            if target in r and r[target].get(metric) is not None]


def _paired(got, row):
    """Ratios of one round each: what slows the machine for a second slows both sides of it."""
    ratios = []
    for r in got["rounds"]:
        a, b = (r.get(t, {}).get(row.metric) for t in (row.of, row.over))
        if a is not None and b:
            ratios.append(a / b)
    return ratios


def _spread(values):
    if len(values) < 3:
        return ""
    q = statistics.quantiles(values, n=4)
    return f"{q[0]:.2f} - {q[2]:.2f}"


def rows(result):
    """(row, value, spread) of every row whose targets were measured."""
    out = []
    for row in scenarios.ROWS:
        got = result["scenarios"].get(row.scenario)
        if got is None:
            continue
        values = _paired(got, row) if row.over else _values(got, row.of, row.metric)
        if values:
            out.append((row, statistics.median(values), _spread(values)))
    return out


def _number(v):
    return "" if v is None else f"{v:g}"


def _ratio_table(result):
    lines = ["| | must | aim | reached | quartiles | ok |", "|---|---|---|---|---|---|"]
    for row, value, spread in rows(result):
        unit = f" {row.unit}" if row.unit else ""
        sign = ("≥ " if row.more_is_better else "≤ ") if row.must is not None else ""
        lines.append(f"| {row.title} | {sign}{_number(row.must)} | {_number(row.aim)} "
                     f"| {value:.2f}{unit} | {spread} | {row.judge(value)} |")
    return lines if len(lines) > 2 else []


def _targets(got):
    seen = {}
    for r in got["rounds"]:
        seen.update(dict.fromkeys(r))
    order = ["direct", "relay", "relay-stored", "sidecar"]
    return [t for t in order if t in seen] + sorted(t for t in seen if t not in order)


def _median(got, target, metric, digits):
    v = _values(got, target, metric)
    return f"{statistics.median(v):.{digits}f}" if v and statistics.median(v) else "-"


def _load_table(result):
    lines = ["| scenario | through | rate /s | p50 µs | p99 µs | CPU µs/op | server µs/op "
             "| client µs/op |",
             "|---|---|---|---|---|---|---|---|"]
    for s in scenarios.ALL:
        got = result["scenarios"].get(s.name)
        if got is None or s.plane not in ("etcd", "nats"):
            continue
        for t in _targets(got):
            lines.append(
                f"| {s.name} | {t} | {_median(got, t, 'rate', 0)} | {_median(got, t, 'p50_us', 1)} "
                f"| {_median(got, t, 'p99_us', 1)} | {_median(got, t, 'cpu_us', 2)} "
                f"| {_median(got, t, 'server_cpu_us', 2)} "
                f"| {_median(got, t, 'client_cpu_us', 2)} |")
    return lines if len(lines) > 2 else []


def _process_table(result):
    memory = result["scenarios"].get("memory", {}).get("rounds", [])
    ready = result["scenarios"].get("ready", {}).get("rounds", [])
    lines = []
    if memory:
        lines += ["| memory | Pss idle MiB | private MiB | Rss MiB "
                  "| KiB per idle NATS connection |",
                  "|---|---|---|---|---|"]
        for t, v in memory[0].items():
            if "error" not in v:
                lines.append(f"| {t} | {v['idle_mib']:.2f} | {v['idle']['private'] / 1024:.2f} "
                             f"| {v['idle']['rss'] / 1024:.2f} | {v['connection_kib']:.1f} |")
        lines.append("")
    if ready:
        lines += ["| exec to ready | median ms | least | most |", "|---|---|---|---|"]
        for t, v in ready[0].items():
            if "error" not in v:
                lines.append(f"| {t} | {v['ready_ms']:.2f} | {v['min_us'] / 1000:.2f} "
                             f"| {v['max_us'] / 1000:.2f} |")
    return lines


def _machine_text(result):
    m = result["machine"]
    shares = [g["disturbance"] for g in result["scenarios"].values() if "disturbance" in g]
    others, steal = ([s[kind] for s in shares] for kind in ("others", "steal"))
    lines = [f"{m['date']}, commit {m['commit']}: {m['cpus']} x {m['cpu']}"
             f"{' (virtual)' if m['hypervisor'] else ''}, {m['memory_gib']} GiB, Linux "
             f"{m['kernel']} ({m['tcp']}), {m['libc']}; etcd {m['etcd']}, "
             f"nats-server {m['nats_server']}, libuv {m['libuv']}, "
             f"nghttp2 {m['nghttp2']}; {m['compiler']}, `{m['flags']}`. "
             f"Medians of {result['rounds']} alternating rounds of {result['run_ms']} ms."]
    if others:
        left_out = sum(s["left_out"] for s in shares)
        lines[0] += (f" Left out and made again because somebody else used the machine: {left_out} "
                     f"of {left_out + result['rounds'] * len(shares)} rounds." if left_out else "")
        lines[0] += (f" Work of others on the machine: {max(others):.1%} of the CPU at worst, "
                     f"stolen by the hypervisor: {max(steal):.1%}.")
        if max(others) > measure.DISTURBED:
            lines.append("**The machine was busy with something else: do not quote this.**")
    return lines


def text(result):
    parts = [_ratio_table(result), _load_table(result), _process_table(result),
             _machine_text(result),
             [f"PROBLEM {p}" for p in measure.problems(result["scenarios"])]]
    return "\n\n".join("\n".join(p).strip() for p in parts if p)


def save(result, directory):
    out = {**result, "table": [
        {"title": r.title, "scenario": r.scenario, "metric": r.metric, "over": r.over,
         "must": r.must, "aim": r.aim, "value": v, "quartiles": s, "ok": r.judge(v)}
        for r, v, s in rows(result)]}
    path = directory / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    path.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    return path


def write_readme(table, path, name="table"):
    """Replaces what stands between the two markers of that name."""
    begin, end = (f"<!-- {name} {edge} -->" for edge in ("begins", "ends"))
    old = path.read_text(encoding="utf-8")
    before, rest = old.split(begin, 1)
    after = rest.split(end, 1)[1]
    path.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
