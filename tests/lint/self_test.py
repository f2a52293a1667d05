# SPDX-License-Identifier: Apache-2.0
"""self_test - every lint finds what it is there for, where it is, and nothing in a clean tree."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def lint(name, files):
    """Exit status and output of a lint over a tree of {path: text}."""
    with tempfile.TemporaryDirectory() as top:
        for path, content in files.items():
            full = os.path.join(top, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(content)
        command = [sys.executable, "-B", os.path.join(HERE, name + ".py"), top]
        environment = dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(top))
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        return result.returncode, result.stdout + result.stderr


class Lints(unittest.TestCase):
    def finds(self, name, path, content, *expected):
        status, out = lint(name, {path: content})
        self.assertEqual(status, 1, out)
        for text in expected:
            self.assertIn(text, out)

    def passes(self, name, path, content):
        status, out = lint(name, {path: content})
        self.assertEqual(status, 0, out)

    def test_layering(self):
        self.finds("layering", "policy/a.c", '\n#include "wire/http1.h"\n', "policy/a.c:2: layering")
        self.finds("layering", "proxy/base/a.c", '#include "limit.h"\n', "a.c:1: layering")
        self.finds("layering", "proxy/nats/a.c", '#include "etcd/registry.h"\n', "a.c:1: layering")
        self.finds("layering", "proxy/io/a.h", '#include "config.h"\n', "a.h:1: layering")
        self.finds("layering", "proxy/etcd/a.c", "#include <uv.h>\n", "a.c:1: third-party")
        self.finds("layering", "proxy/main.c", "#include <nghttp2/nghttp2.h>\n", "third-party")
        self.finds("layering", "policy/a.c", "int64_t x = clock_gettime (1, 2);\n", "a.c:1: purity")
        self.finds("layering", "stray/a.c", "\n", "stray/a.c:1: layering")
        self.finds("layering", "proxy/limits.h", "\n", "limits.h:1: shadow")
        self.passes("layering", "proxy/io/a.c", '#include <uv.h>\n#include "etcd/registry.h"\n')
        self.passes("layering", "tests/unit/a.c", '#include <uv.h>\n#include "io/tcp.h"\n')
        self.passes("layering", "policy/a.c", '/* time(x) */ int f(void); /* "open(" */\n')

    def test_banned(self):
        self.finds("banned", "a.c", "int x;\nf(strcpy (a, b));\n", "a.c:2: banned call: strcpy")
        self.finds("banned", "a.c", "int x; // why\n", "a.c:1: comment")
        self.finds("banned", "a.c", "\tint x;\n", "a.c:1: tab")
        self.finds("banned", "a.c", "int x; \n", "a.c:1: blank at the end")
        self.finds("banned", "a.c", "/* TO" "DO later */\n", "a.c:1: debt")
        self.finds("banned", "a.h", "typedef struct x x_t;\n", "a.h:1: typedef")
        self.finds("banned", "a.c", "int x;", "last line")
        self.passes("banned", "a.c", '/* strcpy() */ char *u = "http://x"; /* TO' 'DO(#12) */\n')
        self.passes("banned", "a.c", "typedef void (*x_fn)(int a);\nint my_strcpy(int a);\n")

    def test_size(self):
        self.finds("size", "a.c", "\n" * 601, "a.c:601: size: 601 lines")
        self.passes("size", "a.c", "\n" * 600)

    def test_headers(self):
        self.finds("headers", "policy/a.h", "static inline uint8_t f(void);\n", "policy/a.h:1: header")
        self.finds("headers", "policy/a.h", "struct x { int y; };\n", "policy/a.h:1: header")
        self.passes("headers", "policy/a.h", "#ifndef A\n#define A\nstruct x { int y; };\n#endif\n")

    def test_format(self):
        self.finds("format", "a.c", "int x;\nint   y;\n", "a.c:2: format: run: clang-format-16 -i a.c")
        self.passes("format", "a.c", "int x;\nint y;\n")

    def test_spdx(self):
        self.finds("spdx", "a.c", "int x;\n", "a.c:1: spdx")
        self.finds("spdx", "run", "#!/bin/sh\n", "run:1: spdx")
        self.passes("spdx", "a.c", SPDX)
        self.passes("spdx", "run", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n")

    def test_words(self):
        self.finds("words", "a.md", "x\nsee /ro" "ot/thing\n", "a.md:2: machine path")
        self.finds("words", "a.md", "-----BEGIN RSA PRIVATE " "KEY-----\n", "a.md:1: secret")
        self.finds("words", "a.md", "https://py" "pi.org/x\n", "a.md:1: registry host")
        self.passes("words", "a.md", "the user-agent header; rest/home/x; GET http://h/root/x\n")

    def test_docs(self):
        schema = {"properties": {"a": {"type": "object", "properties": {"b": {}}, "additionalProperties": False}}}
        files = {"docs/x.md": "# A `b` c\n[x](#a-b-c) [y](y.md#top)\n`deploy/{f,*}` `--namespace` `a.b` `bulkhead_y_total`\n",
                 "docs/y.md": "# Top\n", "deploy/f": "", "deploy/sidecar-injector/chart/values.schema.json": json.dumps(schema),
                 "proxy/config.def": 'OPTION(N, "namespace"\n"y_total"'}
        self.assertEqual(0, lint("docs", files)[0], lint("docs", files)[1])
        for bad, said in (("[x](z.md)", "there is no docs/z.md"), ("[x](#b)", "no heading #b"), ("`deploy/g`", "no deploy/g"),
                          ("`--namspace`", "--namspace"), ("`a.c`", "no value a.c"), ("`bulkhead_x_total`", "x_total"),
                          ("```\nhelm --frobnicate\n```", "--frobnicate")):
            status, out = lint("docs", {**files, "docs/x.md": "\n" + bad + "\n"})
            self.assertEqual(1, status, bad)
            self.assertIn(said, out)


unittest.main()
