# SPDX-License-Identifier: Apache-2.0
"""deploy/Dockerfile, line by line in a clean Debian, and its two images: what they run, as whom, how big."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import dockerfile
from stack import READY, ROOT, Stack, etcdctl, http_get

BASE = os.path.join(os.environ["MORE_BIN"], "base.tar")
SIZE_MAX, PACKED_MAX = 12 << 20, 5 << 20  # without libc: as files, and as the layer that is stored and pulled
LIBC = re.compile(r"/(ld-linux[^/]*|lib(c|m|dl|pthread|rt|resolv))\.so[.\d]*$")


def size_of(root):
    total = own = 0
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                total += os.path.getsize(path)
                own += 0 if LIBC.search(path) else os.path.getsize(path)
    return total, own


@unittest.skipUnless(os.geteuid() == 0, "chroot needs root")
class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="bulkhead-image-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        base = os.path.join(cls.directory, "base")
        os.mkdir(base)
        dockerfile.run("tar", "-C", base, "-xf", BASE)
        shutil.copy2("/etc/resolv.conf", os.path.join(base, "etc", "resolv.conf"))
        tar = os.path.join(cls.directory, "base.tar")
        dockerfile.run("tar", "-C", base, "-cf", tar, ".")
        # The context as git has it: what is not committed does not belong into an image.
        context = os.path.join(cls.directory, "context")
        os.mkdir(context)
        files = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"],
                               capture_output=True, check=True).stdout
        subprocess.run(["tar", "-C", ROOT, "--null", "-T", "-", "-cf", os.path.join(cls.directory, "context.tar")],
                       input=files, check=True)
        dockerfile.run("tar", "-C", context, "-xf", os.path.join(cls.directory, "context.tar"))
        cls.stages = dockerfile.build(os.path.join(ROOT, "deploy", "Dockerfile"), context,
                                      {"debian:bookworm-slim": tar}, cls.directory)

    def argv(self, stage, *args):
        return ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+sys_chroot,+setuid,+setgid",
                "chroot", f"--userspec={stage.user}", stage.root, *stage.entrypoint, *args]

    def test_the_last_stage_is_the_sidecar(self):
        """`docker build` without --target makes the last one."""
        self.assertEqual(list(self.stages)[-1], "sidecar")

    def test_the_programs_start_as_nobody_special(self):
        for name, user in (("sidecar", "7077:7077"), ("injector", "7078:7078")):
            stage = self.stages[name]
            self.assertEqual(stage.user, user)
            done = subprocess.run(self.argv(stage, "--version"), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
            self.assertEqual([n for n in os.listdir(os.path.join(stage.root, "usr", "bin"))],
                             [os.path.basename(stage.entrypoint[0])])
            self.assertFalse(os.path.exists(os.path.join(stage.root, "bin")))

    def test_the_redirect_capability_survives_copying(self):
        path = os.path.join(self.stages["sidecar"].root, "usr", "bin", "bulkhead")
        self.assertIn("cap_net_admin=p", dockerfile.run("getcap", path))

    def test_the_sidecar_serves(self):
        with Stack("image") as stack:
            store = stack.etcd()
            sidecar = stack.process("sidecar", self.argv(
                self.stages["sidecar"], "serve", "--namespace", "team-a", "--etcd-upstream", store.url,
                "--etcd-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"), stdout_is_log=False)
            line = sidecar.until(lambda: READY.search(sidecar.out()), "the ready line").group("rest")
            at = dict(word.split("=", 1) for word in line.split())
            self.assertEqual(etcdctl("http://" + at["etcd"], "put", "k", "v").stdout, "OK\n")
            self.assertIn("bh/d/team-a.k", etcdctl(store.url, "get", "--prefix", "bh/d", "--keys-only").stdout)
            self.assertEqual(http_get(at["health"], "/livez")[0], 200)
            self.assertEqual(sidecar.stop(), 0)

    def test_sizes(self):
        for name in ("sidecar", "injector"):
            root = self.stages[name].root
            total, own = size_of(root)
            tar = ["tar", "-C", root, "--exclude=libc.so.6", "--exclude=ld-linux*", "-cz", "."]
            packed = len(subprocess.run(tar, capture_output=True, check=True).stdout)
            print(f"{name}: {total} bytes, {own} without libc, {packed} of these as a layer (gzip)")
            self.assertLess(own, SIZE_MAX)
            self.assertLess(packed, PACKED_MAX)


if __name__ == "__main__":
    unittest.main()
