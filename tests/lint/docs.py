# SPDX-License-Identifier: Apache-2.0
"""docs - what a page names is there: links and their headings, files, flags, values of the chart, metrics."""
import glob
import json
import os
import re

import tree

TOP = ("bench", "cmake", "deploy", "docs", "policy", "proto", "proxy", "scripts", "tests")
CHART = "deploy/sidecar-injector/chart/"
# Flags of other people's programs and of our scripts, which have no table of them; and a misspelt one.
FOREIGN = set("create-namespace namespace set target preset workflow install list include asan more once dynamo "
              "write endpoints prefix keys-only print-value-only client-cert-auth auth-token dry-run validate etcd-upstraem".split())
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
# A path of ours: not within a longer one, not a URL.
PATH = re.compile(r"(?<![\w./*-])((?:%s)/[\w./*{},-]*[\w*}/])" % "|".join(TOP))
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
VALUE = re.compile(r"(?<![\w./-])([a-z]\w*(?:\.[a-zA-Z]\w*)+)(?![\w(/*-])")
METRIC = re.compile(r"(?<!\w)bulkhead_(?:injector_)?([a-z_]+[a-z])(?![\w*.])")


def anchors(text):
    """The headings as GitHub writes them into addresses."""
    found = set()
    for line in text.split("\n"):
        if line.startswith("#"):
            title = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w -]", "", title).replace(" ", "-"))
    return found


def lines_of(text):
    """(number, line, is within a block of code)"""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
            continue
        yield number, line, inside


def alternatives(path):
    """a/{b,c} as a/b and a/c."""
    m = re.search(r"\{([^{}]*)\}", path)
    if not m:
        return [path]
    return [x for part in m.group(1).split(",") for x in alternatives(path[:m.start()] + part + path[m.end():])]


def known_flags(top):
    flags = {"help", "version", "live"}
    for path, pattern in (("proxy/config.def", r'OPTION\(\w+, "([a-z0-9-]+)"'),
                          ("deploy/sidecar-injector/injector_options.c", r'"--([a-z-]+)"')):
        if os.path.exists(os.path.join(top, path)):
            flags.update(re.findall(pattern, tree.text(top, path)))
    return flags


class Chart:
    """The values that the schema knows; without a chart, nothing is asked."""

    def __init__(self, top):
        path = os.path.join(top, CHART, "values.schema.json")
        self.schema = json.load(open(path)) if os.path.exists(path) else {"properties": {}}

    def begins(self, name):
        return name in self.schema["properties"]

    def has(self, words):
        at = self.schema
        for word in words:
            if "properties" in at and word in at["properties"]:
                at = at["properties"][word]
                at = self.schema.get("$defs", {}).get(at.get("$ref", "").rsplit("/", 1)[-1], at)
            else:
                return "properties" not in at or at.get("additionalProperties", True) is not False
        return True


def check_links(top, path, text, report):
    for number, line, inside in lines_of(text):
        for target in ([] if inside else LINK.findall(line)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            to = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if not os.path.exists(os.path.join(top, to)):
                report.add(path, number, "link", f"there is no {to}")
            elif anchor and anchor not in anchors(tree.text(top, to)):
                report.add(path, number, "link", f"{to} has no heading #{anchor}")


def check_names(top, path, text, flags, chart, sources, report):
    for number, line, inside in lines_of(text):
        for code in [line] if inside else CODE.findall(line):
            for name in PATH.findall(code):
                for one in alternatives(re.sub(r"\b[A-Z]{3,}$", "*", name.rstrip("/"))):  # NAME stands for any
                    if not any(glob.glob(os.path.join(top, d, one)) for d in ("", os.path.dirname(path))):
                        report.add(path, number, "file", f"there is no {one}")
            for flag in FLAG.findall(code):
                if flag not in flags | FOREIGN:
                    report.add(path, number, "flag", f"--{flag} is no flag of ours; another program's stand in FOREIGN")
            for value in VALUE.findall(code):
                if chart.begins(value.split(".")[0]) and not value.endswith(".md") and not chart.has(value.split(".")):
                    report.add(path, number, "value", f"the chart has no value {value}")
            for metric in METRIC.findall(code):
                if re.sub("_(bucket|sum|count)$", "", metric) not in sources:
                    report.add(path, number, "metric", f"no program has a metric {metric}")


def main():
    top, report, checked = tree.root(), tree.Report("docs"), 0
    flags, chart = known_flags(top), Chart(top)
    sources = "\n".join(tree.text(top, p) for p in tree.c_files(top) if p.startswith(("proxy/", "deploy/")))
    for path in tree.tracked(top):
        if not path.endswith(".md"):
            continue
        checked += 1
        text = tree.text(top, path)
        check_links(top, path, text, report)
        if path.startswith(("docs/", "deploy/", "README.md", "CONTRIBUTING.md", "scripts/")):
            check_names(top, path, text, flags, chart, sources, report)
    report.end(checked)


main()
