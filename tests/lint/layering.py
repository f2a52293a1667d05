# SPDX-License-Identifier: Apache-2.0
"""layering - base <- {policy, wire} <- {etcd, nats} <- io <- program (style.md, design.md 3.2).

Which folder includes which of our headers; only io (and bench, tests) includes libuv, nghttp2, OpenSSL;
everything left of io is deterministic: no clock, no environment, no randomness, no sockets of its own.
"""
import os
import re

import tree

# folder -> the folders it may include from; limit.h is a table of numbers and open to all but base.
MAY_INCLUDE = {
    "proxy/base": {"base"},
    "policy": {"base", "policy"},
    "proxy/wire": {"base", "wire", "limit.h"},
    "proxy/etcd": {"base", "policy", "wire", "etcd", "limit.h"},
    "proxy/nats": {"base", "policy", "wire", "nats", "limit.h"},
    "proxy/io": {"base", "policy", "wire", "etcd", "nats", "io", "limit.h"},
    # config.h: for the nearest name to a wrong one.
    "deploy/sidecar-injector/inject": {"base", "policy", "wire", "inject", "config.h"},
}
INJECTOR = "deploy/sidecar-injector"  # the program around it
PURE = {"policy", "proxy/wire", "proxy/etcd", "proxy/nats", "deploy/sidecar-injector/inject"}
LIBC = re.compile(r"(assert|ctype|errno|fcntl|inttypes|limits|math|signal|stdalign|stdarg|stdbool|"
                  r"endian|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|time|unistd|dirent|poll|"
                  r"getopt|netdb|spawn|sys/\w+|netinet/\w+|arpa/inet)\.h")
# Beyond libc: who may include it. A program reads its configuration with cJSON and runs io's loop.
THIRD_PARTY = {
    "pthread": {"proxy/io", "proxy"},
    "uv": {"proxy/io"}, "nghttp2": {"proxy/io"}, "openssl": {"proxy/io"}, "nftables": {"proxy/io"},
    "linux": {"proxy/io"},
    "cjson": {"proxy/io", "proxy", "deploy/sidecar-injector/inject"},
    "yaml": {"deploy/sidecar-injector/inject"},
    "malloc": {"deploy/sidecar-injector"},
}
# Calls that bring in time, environment, randomness or the network.
IMPURE = re.compile(r"\b(clock_gettime|gettimeofday|time|getenv|secure_getenv|rand|random|drand48|"
                    r"getrandom|socket|connect|bind|open|fopen|read|write|fork)\s*\(")
FREE = ("tests/", "bench/", "ctl/", "cmake/")
# With -I: a header there named like libc's would stand before it, in libraries' headers, too.
INCLUDE_ROOTS = ("", "proxy", "tests", "deploy/sidecar-injector", "bench")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def folder_of(path):
    folder = os.path.dirname(path)
    return folder if folder in MAY_INCLUDE or folder in ("proxy", INJECTOR) else None


def check_include(report, path, line, folder, kind, name):
    if kind == '"':
        head = name.split("/")[0]
        if folder in MAY_INCLUDE and head not in MAY_INCLUDE[folder]:
            allowed = ", ".join(sorted(MAY_INCLUDE[folder]))
            report.add(path, line, "layering", f'{folder} may not include "{name}"; only {allowed}')
    elif LIBC.fullmatch(name) is None:
        who = THIRD_PARTY.get(name.split("/")[0].split(".")[0], set())
        if folder not in who:
            report.add(path, line, "third-party",
                       f"{folder} may not include <{name}>; allowed in: {', '.join(sorted(who)) or 'no folder'}")


def main():
    top, report, checked = tree.root(), tree.Report("layering"), 0
    for path in tree.c_files(top):
        if os.path.dirname(path) in INCLUDE_ROOTS and LIBC.fullmatch(os.path.basename(path)):
            report.add(path, 1, "shadow", f"the name of a header of libc: <{os.path.basename(path)}> would find it")
        if path.startswith(FREE):
            continue
        folder, source = folder_of(path), tree.text(top, path)
        checked += 1
        if folder is None:
            report.add(path, 1, "layering", "C source outside the known layers (tests/lint/layering.py)")
            continue
        for number, line in enumerate(source.split("\n"), 1):
            m = INCLUDE.match(line)
            if m:
                check_include(report, path, number, folder, m.group(1), m.group(2))
        if folder in PURE:
            for number, line in enumerate(tree.code_only(source).split("\n"), 1):
                m = IMPURE.search(line)
                if m:
                    report.add(path, number, "purity", f"{m.group(1)}(): left of io, time, environment, "
                               "randomness and files enter as arguments")
    report.end(checked)


main()
