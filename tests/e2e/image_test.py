# SPDX-License-Identifier: Apache-2.0
"""What deploy/image-root lays out for a container image, run from there: as the image's user, in a root
that holds nothing else, without capabilities and without new privileges. tests/more/image builds
the whole Dockerfile in a clean Debian; this is the same layout around the programs of this build."""

import json
import os
import re
import ssl
import stat
import subprocess
import unittest
import urllib.request

from stack import ROOT, READY, Stack, etcdctl, http_get, is_sanitized, sidecar_binary

SIZE_MAX = 12 * 1024 * 1024  # of the sidecar's image without the C library
PROGRAMS = {"sidecar": ("bulkhead", 7077), "injector": ("bulkhead-injector", 7078)}
# A sanitized build cannot look for leaks as another user without privileges.
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}


class Image:
    def __init__(self, stack, kind):
        self.name, self.uid = PROGRAMS[kind]
        self.root = stack.path("image-" + kind)
        done = subprocess.run([os.path.join(ROOT, "deploy", "image-root"), kind,
                               os.path.dirname(sidecar_binary()), self.root], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        self.bytes, self.own_bytes = map(int, re.findall(r"=(\d+)", done.stdout))

    def argv(self, *args):
        """As a container runtime would start it under pod security "restricted", /proc included."""
        os.makedirs(os.path.join(self.root, "proc"), exist_ok=True)
        return ["unshare", "--mount", "sh", "-c", 'mount --rbind /proc "$0/proc" && exec "$@"', self.root,
                "setpriv", "--no-new-privs", "--inh-caps=-all",
                "--bounding-set=-all,+sys_chroot,+setuid,+setgid",  # chroot's own; gone with the user
                "chroot", f"--userspec={self.uid}:{self.uid}", self.root, "/usr/bin/" + self.name, *args]

    def run(self, *args):
        return subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **NO_LEAKS})

    def files(self):
        for folder, _, names in os.walk(self.root):
            for name in names:
                yield os.path.join(folder, name)


# Not where the root is no mount, as in a chroot.
CAN_MOUNT = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@unittest.skipUnless(os.geteuid() == 0, "chroot and setcap need root")
@unittest.skipUnless(CAN_MOUNT, "no mount namespaces here")
class Images(unittest.TestCase):
    def setUp(self):
        self.stack = Stack("image")
        self.addCleanup(self.stack.close)

    def test_the_sidecar_serves_from_its_image(self):
        image = Image(self.stack, "sidecar")
        store, bus = self.stack.etcd(), self.stack.nats()
        self.assertIn("bulkhead ", image.run("--version").stdout)
        sidecar = self.stack.process("sidecar", image.argv(
            "serve", "--namespace", "team-a", "--etcd-upstream", store.url, "--nats-upstream", bus.url,
            "--etcd-listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"),
            stdout_is_log=False, env=NO_LEAKS)
        line = sidecar.until(lambda: READY.search(sidecar.out()), "the ready line").group("rest")
        at = dict(word.split("=", 1) for word in line.split())
        with open(f"/proc/{sidecar.pid}/status") as f:
            status = f.read()
        self.assertRegex(status, r"Uid:\t7077\t7077\t7077\t7077")
        self.assertRegex(status, r"CapEff:\t0{16}")
        self.assertRegex(status, r"CapPrm:\t0{16}")
        self.assertEqual(etcdctl("http://" + at["etcd"], "put", "k", "v").stdout, "OK\n")
        self.assertIn("bh/d/team-a.k", etcdctl(store.url, "get", "--prefix", "bh/d", "--keys-only").stdout)
        self.assertEqual(http_get(at["health"], "/livez")[0], 200)
        self.assertEqual(image.run("health", "--health-listen", at["health"]).returncode, 0)
        self.assertEqual(sidecar.stop(), 0)

    def test_tls_works_in_there(self):
        """OpenSSL is loaded at run time, so nothing but use shows that it is there and has authorities."""
        image = Image(self.stack, "sidecar")
        args = ("check", "--etcd-upstream", "https://etcd.example:2379", "--etcd-ca")
        good = image.run(*args, "/etc/ssl/certs/ca-certificates.crt")
        self.assertEqual(good.returncode, 0, good.stderr)
        bad = image.run(*args, "/etc/passwd")
        self.assertEqual(bad.returncode, 2)
        self.assertIn("etcd-ca", bad.stderr)
        os.unlink(os.path.join(image.root, os.path.relpath(self.one(image, "libssl.so.3"), image.root)))
        self.assertNotEqual(image.run(*args, "/etc/ssl/certs/ca-certificates.crt").returncode, 0)

    @unittest.skipUnless(os.path.exists(os.environ.get("INJECTOR", "")), "no bulkhead-injector here")
    def test_the_injector_answers_from_its_image(self):
        """With its configuration and certificate mounted, and OpenSSL from the image."""
        image = Image(self.stack, "injector")
        mounted = os.path.join(image.root, "etc", "bulkhead-injector")
        os.makedirs(mounted)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", mounted + "/tls.key", "-out", mounted + "/tls.crt"],
                       check=True, capture_output=True)
        os.chown(mounted + "/tls.key", image.uid, image.uid)
        with open(mounted + "/config.json", "w") as f:
            json.dump({"image": "i", "etcd-upstream": ["e:2379"]}, f)
        os.chmod(mounted, 0o755)  # whatever the caller's umask
        for name in ("config.json", "tls.crt"):
            os.chmod(os.path.join(mounted, name), 0o644)
        injector = self.stack.process("injector", image.argv(
            "serve", "--config", "/etc/bulkhead-injector/config.json", "--tls-cert",
            "/etc/bulkhead-injector/tls.crt", "--tls-key", "/etc/bulkhead-injector/tls.key", "--listen",
            "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--drain-ms", "0"),
            stdout_is_log=False, env=NO_LEAKS)
        ready = injector.until(lambda: re.search(r"^ready webhook=(\S+)", injector.out(), re.M), "the ready line")
        pod = {"metadata": {"name": "p", "labels": {"bulkhead.dev/inject": "true"}},
               "spec": {"containers": [{"name": "c", "image": "i"}]}}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "n",
            "operation": "CREATE", "object": pod}}
        request = urllib.request.Request(f"https://{ready.group(1)}/mutate", json.dumps(review).encode(),
                                         {"Content-Type": "application/json"})
        context = ssl.create_default_context(cafile=mounted + "/tls.crt")
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            response = json.load(answer)["response"]
        self.assertTrue(response["allowed"], response)
        self.assertEqual((response["uid"], response["patchType"]), ("u-1", "JSONPatch"))
        self.assertEqual(injector.stop(), 0)

    def test_nothing_else_is_in_there(self):
        for kind in PROGRAMS:
            if not os.path.exists(os.path.join(os.path.dirname(sidecar_binary()), PROGRAMS[kind][0])):
                continue
            with self.subTest(kind=kind):
                image = Image(self.stack, kind)
                programs = [p for p in image.files() if os.access(p, os.X_OK) and not os.path.islink(p)
                            and ".so" not in os.path.basename(p)]
                self.assertEqual([os.path.basename(p) for p in programs], [image.name])
                for path in image.files():
                    info = os.lstat(path)
                    self.assertEqual(info.st_uid, 0, path)
                    self.assertFalse(info.st_mode & (stat.S_ISUID | stat.S_ISGID), path)
                    self.assertTrue(os.path.islink(path) or not info.st_mode & 0o022, path)
                    if not is_sanitized(sidecar_binary()):  # those name their sources
                        self.assertFalse(ROOT.encode() in self.content(path), f"{path} says where it was built")

    def test_it_is_small(self):
        image = Image(self.stack, "sidecar")
        packed = subprocess.run(["tar", "-C", image.root, "-cz", "."], capture_output=True, check=True).stdout
        print(f"sidecar image: {image.bytes} bytes, {image.own_bytes} without libc, {len(packed)} packed")
        if not is_sanitized(sidecar_binary()):
            self.assertLess(image.own_bytes, SIZE_MAX)

    def test_wrong_use_is_told(self):
        script = os.path.join(ROOT, "deploy", "image-root")
        for args, says in (((), "usage"), (("other", "/bin", "/nowhere"), "sidecar or injector"),
                           (("sidecar", "/nowhere", "/nowhere"), "no bulkhead in"),
                           (("sidecar", os.path.dirname(sidecar_binary()), "/tmp"), "there already")):
            done = subprocess.run([script, *args], capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stdout + done.stderr)

    @staticmethod
    def content(path):
        """What an image must not tell: where it was built."""
        if os.path.islink(path):
            return b""
        with open(path, "rb") as f:
            return f.read()

    @staticmethod
    def one(image, name):
        return next(p for p in image.files() if os.path.basename(p) == name)


if __name__ == "__main__":
    unittest.main()
