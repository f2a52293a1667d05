# SPDX-License-Identifier: Apache-2.0
"""format - every C file is as clang-format-16 writes it (.clang-format). Other versions write otherwise."""
import re
import shutil
import subprocess
import sys

import tree

TOOL = "clang-format-16"


def main():
    top, report = tree.root(), tree.Report("format")
    if shutil.which(TOOL) is None:
        sys.exit(f"{TOOL} is missing. Install it: apt-get install {TOOL}")
    files = tree.c_files(top, (".c", ".h"))
    result = subprocess.run([TOOL, "--dry-run", "-Werror", "--"] + files, cwd=top, text=True,
                            capture_output=True) if files else None
    seen = set()
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: ", result.stderr if files else "", re.M):
        if path not in seen:  # the first place is enough: the tool mends the whole file
            report.add(path, line, "format", f"run: {TOOL} -i {path}")
        seen.add(path)
    if files and result.returncode != 0 and not seen:
        sys.exit(f"{TOOL} failed:\n{result.stderr}")
    report.end(len(files))


main()
