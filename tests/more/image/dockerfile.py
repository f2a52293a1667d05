# SPDX-License-Identifier: Apache-2.0
"""A Dockerfile's lines in chroots: as much of its language as deploy/Dockerfile uses, and an error for the
rest.

    stages = build(Dockerfile, context, bases={"debian:bookworm-slim": tar}, directory)
    stages["sidecar"].root, .user, .entrypoint
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess


class Stage:
    def __init__(self, name, root):
        self.name, self.root = name, root
        self.workdir, self.user, self.entrypoint = "/", "0:0", []

    def inside(self, path):
        return os.path.normpath(os.path.join(self.root, os.path.join(self.workdir, path).lstrip("/")))


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def ignored(context):
    """What .dockerignore leaves out, at the top of the context; later lines win."""
    with open(os.path.join(context, ".dockerignore")) as f:
        rules = [line.strip() for line in f if line.strip() and not line.startswith("#")]
    return [r for r in rules if not r.startswith("!")], [r[1:] for r in rules if r.startswith("!")]


def copy_context(context, target):
    out, back = ignored(context)
    run("cp", "-a", "--no-preserve=ownership", context + "/.", target)
    for entry in os.listdir(target):
        if any(fnmatch.fnmatch(entry, rule) for rule in out):
            path = os.path.join(target, entry)
            (shutil.rmtree if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
    for path in back:
        os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
        shutil.copy2(os.path.join(context, path), os.path.join(target, path))


def statements(text):
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


class Builder:
    def __init__(self, context, bases, directory):
        self.context, self.bases, self.directory = context, bases, directory
        self.stages, self.stage = {}, None

    def do_FROM(self, rest):
        base, _, name = rest.split()
        root = os.path.join(self.directory, "stage-" + name)
        os.mkdir(root)
        if base != "scratch":
            run("tar", "-C", root, "-xf", self.bases[base])
        self.stage = self.stages[name] = Stage(name, root)

    def do_WORKDIR(self, rest):
        self.stage.workdir = rest
        os.makedirs(self.stage.inside("."), exist_ok=True)

    def do_USER(self, rest):
        self.stage.user = rest

    def do_ENTRYPOINT(self, rest):
        self.stage.entrypoint = json.loads(rest)

    def do_COPY(self, rest):
        words = rest.split()
        source = None
        if words[0].startswith("--from="):
            source = self.stages[words.pop(0).removeprefix("--from=")]
        what, to = words
        target = self.stage.inside(to)
        if source is not None:
            run("cp", "-a", source.inside(what) + "/.", target)  # with its extended attributes
        elif what == ".":
            copy_context(self.context, target)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(self.context, what), target)

    def do_RUN(self, rest):
        """With /proc and /dev of its own, and the network of this machine."""
        root = self.stage.root
        script = ('mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && '
                  'exec chroot "$0" /bin/sh -c "cd $1 && $2"')
        run("unshare", "--mount", "--pid", "--fork", "env", "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
            "sh", "-c", script, root, self.stage.workdir, rest)


def build(dockerfile, context, bases, directory):
    builder = Builder(context, bases, directory)
    with open(dockerfile) as f:
        for word, rest in statements(f.read()):
            getattr(builder, "do_" + word)(rest)
    return builder.stages
