# SPDX-License-Identifier: Apache-2.0
"""spdx - the licence is the first line of every C source, and one of the first three of every script."""
import tree

C_LINE = "/* SPDX-License-Identifier: Apache-2.0 */"
WORDS = "SPDX-License-Identifier: Apache-2.0"


def main():
    top, report, checked = tree.root(), tree.Report("spdx"), 0
    for path in tree.tracked(top):
        source = tree.text(top, path)
        if source is None or not (path.endswith(tree.C_SUFFIXES + (".py", ".proto")) or
                                  source.startswith("#!")):
            continue
        checked += 1
        lines = source.split("\n")
        if path.endswith(tree.C_SUFFIXES):
            if lines[0] != C_LINE:
                report.add(path, 1, "spdx", f"the first line must be {C_LINE}")
        elif not any(WORDS in line for line in lines[:3]):
            report.add(path, 1, "spdx", f"one of the first three lines must hold {WORDS}")
    report.end(checked)


main()
