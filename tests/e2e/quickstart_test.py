# SPDX-License-Identifier: Apache-2.0
"""The story that scripts/quickstart tells: every claim holds, and nothing is left behind, also when it
is stopped early. (Its set-up with apt and CMake is what brought the machine here.)"""

import os
import re
import signal
import subprocess
import sys
import unittest

import stack as real

STORY = os.path.join(real.ROOT, "scripts", "story.py")


def living_in(directory):
    """Process ids whose working directory is there: every process of the story."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(directory):
                found.append(pid)
        except OSError:
            pass
    return found


class Quickstart(unittest.TestCase):
    def start(self, *args):
        process = subprocess.Popen([sys.executable, "-B", STORY, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, start_new_session=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.text = ""
        self.read_until(process, "Starting etcd")
        self.directory = re.search(r"sidecars in (\S+)", self.text).group(1)
        return process

    def read_until(self, process, words):
        while words not in self.text:
            line = process.stdout.readline()
            self.assertTrue(line, f"ended before {words!r}:\n{self.text}")
            self.text += line

    def nothing_is_left(self):
        self.assertFalse(os.path.exists(self.directory))
        self.assertEqual([], living_in(self.directory))

    def test_once(self):
        process = self.start("--once")
        self.text += process.stdout.read()
        self.assertEqual(0, process.wait(30), self.text)
        self.assertNotIn("✗", self.text)
        self.assertGreaterEqual(self.text.count("✓"), 12)
        self.nothing_is_left()

    def test_playground_until_ctrl_c(self):
        process = self.start()
        self.read_until(process, "metrics of default")
        self.assertTrue(living_in(self.directory))
        etcd_a = re.search(r"ETCD_A=(\S+)", self.text).group(1)
        self.assertEqual("models/llama\nweights of A\n", real.etcdctl(etcd_a, "get", "models/llama").stdout)
        process.send_signal(signal.SIGINT)
        self.assertEqual(0, process.wait(30))
        self.nothing_is_left()

    def test_stopped_anywhere(self):
        for words, number in (("Starting etcd", signal.SIGINT), ("bulkhead llama-8b/version-A", signal.SIGINT), ("$ etcdctl", signal.SIGTERM),
                              ("listens", signal.SIGHUP), ("watches everything", signal.SIGINT)):
            process = self.start("--once")
            self.read_until(process, words)
            process.send_signal(number)
            process.stdout.read()
            self.assertIn(process.wait(30), (128 + number, 0), words)
            self.nothing_is_left()

    def test_killed_outright_takes_its_children_along(self):
        process = self.start()
        self.read_until(process, "Playground")
        process.kill()
        process.wait()
        real.wait_until(lambda: not living_in(self.directory), "its children are gone, too")
        subprocess.run(["rm", "-r", self.directory], check=True)  # what no process can do when killed


if __name__ == "__main__":
    unittest.main(verbosity=2)
