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
