# SPDX-License-Identifier: Apache-2.0
"""words - nothing in the repository speaks of the machine it was written on, or holds a secret."""
import re

import tree

SELF = "tests/lint/words.py"
RULES = [
    ("machine path", re.compile(r"(?<![\w.:/*-])/(work|root|home|mnt|Users)/\w|/tmp/\w*jobs")),
    ("registry host", re.compile(r"registry\.npmjs\.org|(?<!\w)pypi\.org|files\.pythonhosted\.org|"
                                 r"proxy\.golang\.org|registry-1\.docker\.io|index\.docker\.io")),
    ("secret", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|"
                          r"\bglpat-[\w-]{20}|\bxox[abp]-\w{10,}|\beyJhbGciOi[\w-]{20,}\.")),
    ("who wrote it", re.compile(r"(?i)\b(chatgpt|copilot|anthropic|openai|language model|ai assistant|"
                                r"sub-?agents?)\b|\bClaude\b|(?<![-\w])agents?\b(?! string)")),
]
ALLOWED = re.compile(r"(?i)user[-_ ]agent")


def main():
    top, report, checked = tree.root(), tree.Report("words"), 0
    for path in tree.tracked(top):
        source = tree.text(top, path)
        if source is None or path == SELF or path.startswith("tests/fuzz/corpus/"):
            continue
        checked += 1
        for number, line in enumerate(source.split("\n"), 1):
            for rule, pattern in RULES:
                m = pattern.search(ALLOWED.sub("", line))
                if m:
                    report.add(path, number, rule, f'"{m.group()}" does not belong here')
    report.end(checked)


main()
