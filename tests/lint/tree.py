# SPDX-License-Identifier: Apache-2.0
"""tree - what every lint shares: the files that git tracks, C without comments, how to report.

A lint is a program: `lint.py ROOT`. It prints one line a finding, `file:line: rule: what to do`, and
ends with status 1 if there is any.
"""
import os
import re
import subprocess
import sys

C_SUFFIXES = (".c", ".h", ".def")
NOT_OURS = {".git", "build", ".venv", "__pycache__"}


def root():
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} ROOT")
    return sys.argv[1]


def tracked(top):
    """Paths below top, as git knows them; without git (a source archive), all that is there."""
    git = ["git", "-c", "safe.directory=*", "-C", top, "ls-files", "-z"]
    try:
        out = subprocess.run(git, capture_output=True, check=True).stdout.decode()
        paths = [p for p in out.split("\0") if p]
    except (OSError, subprocess.CalledProcessError):
        paths = []
        for folder, names, files in os.walk(top):
            names[:] = [n for n in names if n not in NOT_OURS]
            paths += [os.path.relpath(os.path.join(folder, f), top) for f in files]
    return sorted(p for p in paths if os.path.isfile(os.path.join(top, p)))


def c_files(top, suffixes=C_SUFFIXES):
    return [p for p in tracked(top) if p.endswith(suffixes)]


def text(top, path):
    """The file as text, or None if it is not UTF-8 text."""
    with open(os.path.join(top, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


TOKENS = re.compile(
    r"""(?P<comment>/\*.*?\*/) | (?P<line>//[^\n]*) | (?P<string>"(?:\\.|[^"\\\n])*") |
        (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.S | re.X)


def code_only(source, on_line_comment=None):
    """C with comments and the insides of literals blanked; line numbers stay."""
    def blank(m):
        if m.lastgroup == "line" and on_line_comment is not None:
            on_line_comment(source.count("\n", 0, m.start()) + 1)
        inside = re.sub(r"[^\n]", " ", m.group())
        return '""' + inside[2:] if m.lastgroup == "string" else inside
    return TOKENS.sub(blank, source)


class Report:
    def __init__(self, lint):
        self.lint, self.findings = lint, 0

    def add(self, path, line, rule, what):
        print(f"{path}:{line}: {rule}: {what}")
        self.findings += 1

    def end(self, checked):
        print(f"{self.lint}: {checked} files, {self.findings} findings")
        sys.exit(1 if self.findings else 0)
