# SPDX-License-Identifier: Apache-2.0
"""headers - each header compiles alone, and twice in one unit: it includes what it uses, and is guarded.

Environment CC: the compiler (default cc); CPPFLAGS: where third-party headers are.
"""
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

import tree

FLAGS = ["-std=c17", "-D_GNU_SOURCE", '-DBULKHEAD_VERSION="0"', "-Wall", "-Wextra", "-Werror",
         "-Wno-unused", "-fsyntax-only", "-I.", "-Iproxy", "-Itests",
         "-Ideploy/sidecar-injector", "-x", "c", "-"]


def compiles(top, path):
    unit = f'#include "{path}"\n' * 2 + "extern int lint_headers;\n"
    command = shlex.split(os.environ.get("CC", "cc")) + shlex.split(os.environ.get("CPPFLAGS", ""))
    return subprocess.run(command + FLAGS, cwd=top, input=unit, text=True, capture_output=True)


def main():
    top, report = tree.root(), tree.Report("headers")
    files = tree.c_files(top, (".h",))
    with ThreadPoolExecutor(2) as pool:
        for path, result in zip(files, pool.map(lambda p: compiles(top, p), files)):
            if result.returncode != 0:
                report.add(path, 1, "header", "does not compile alone:\n" + result.stderr)
    report.end(len(files))


main()
