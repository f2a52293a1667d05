# SPDX-License-Identifier: Apache-2.0
"""size - a file that is longer than 600 lines does more than one thing; 400 is the aim."""
import tree

LINES_MAX, LINES_AIM = 600, 400
SUFFIXES = (".c", ".h", ".py", ".sh", ".cmake")


def main():
    top, report = tree.root(), tree.Report("size")
    files = [p for p in tree.tracked(top) if p.endswith(SUFFIXES)]
    for path in files:
        lines = (tree.text(top, path) or "").count("\n")
        if lines > LINES_MAX:
            report.add(path, LINES_MAX + 1, "size", f"{lines} lines, at most {LINES_MAX}: split it")
        elif lines > LINES_AIM:
            print(f"note: {path} has {lines} lines; {LINES_AIM} is the aim")
    report.end(len(files))


main()
