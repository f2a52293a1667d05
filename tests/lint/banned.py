# SPDX-License-Identifier: Apache-2.0
"""banned - what may not stand in C here: unbounded or hidden-state calls, // comments, tabs, debts."""
import re

import tree

CALLS = {
    "strcpy": "use memcpy with a checked length, or buf_append()", "stpcpy": "as strcpy",
    "strcat": "use buf_append()", "strncat": "use buf_append()", "strncpy": "use memcpy",
    "sprintf": "use snprintf()", "vsprintf": "use vsnprintf()", "gets": "use fgets()",
    "strtok": "cut spans", "strtok_r": "cut spans", "atoi": "use strtol() and check", "atol": "as atoi",
    "atoll": "as atoi", "atof": "use strtod() and check", "alloca": "stack without a bound",
    "setjmp": "return an enum err", "longjmp": "return an enum err", "localtime": "use gmtime_r()",
    "gmtime": "use gmtime_r()",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(CALLS) + r")\s*\(")
DEBT = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!.{0,20}#\d+)")
TYPEDEF = re.compile(r"^\s*typedef\b(?!.*\(\s*\*?\s*\w+\s*\)?\s*\()")


def main():
    top, report = tree.root(), tree.Report("banned")
    files = tree.c_files(top)
    for path in files:
        source = tree.text(top, path)
        if source is None:
            report.add(path, 1, "encoding", "not UTF-8 text")
            continue
        code = tree.code_only(
            source, lambda line, p=path: report.add(p, line, "comment", "write /* */, not //"))
        for number, line in enumerate(code.split("\n"), 1):
            for m in CALL.finditer(line):
                report.add(path, number, "banned call", f"{m.group(1)}(): {CALLS[m.group(1)]}")
            if TYPEDEF.search(line) and not path.startswith("cmake/"):
                report.add(path, number, "typedef", "struct x and enum x; typedef only for function pointers")
        for number, line in enumerate(source.split("\n"), 1):
            if "\t" in line:
                report.add(path, number, "tab", "indent with 4 spaces")
            if line != line.rstrip():
                report.add(path, number, "blank at the end of a line", "remove it")
            if DEBT.search(line):
                report.add(path, number, "debt", "name the issue: TODO(#12)")
        if not source.endswith("\n"):
            report.add(path, source.count("\n") + 1, "last line", "end the file with a newline")
    report.end(len(files))


main()
