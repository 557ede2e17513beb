#!/bin/sh
# Makes what is missing: Debian's packages (as root), the Python environment. Exits 3 when it cannot.
#   harness/setup.sh            everything; as an ordinary user the packages must be there already
#   harness/setup.sh --system   only the packages, as root; with an architecture behind it, that one's QEMU
#   harness/setup.sh --docs     only what `make docs` needs: Python, and .venv-docs
#   harness/setup.sh --browser  what the tests in a browser need: Chromium, and .venv-browser
set -eu
cd "$(dirname "$0")/.."
task=${1:-}
asked=${2:-${WORKBOOK_ARCH:-}}
case "${asked:-$(uname -m)}" in
    aarch64 | arm64) qemu=qemu-system-aarch64 qemu_package=qemu-system-arm ;;
    *) qemu=qemu-system-x86_64 qemu_package=qemu-system-x86 ;;
esac
# su keeps an ordinary user's PATH; dpkg and the lab need programs of these.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
OS_RELEASE=${OS_RELEASE:-/etc/os-release}

# All temporary files, pip's too, in one folder that goes however this ends.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' HUP INT TERM

say() { printf 'setup: %s\n' "$*" >&2; }

# Runs a command; what it prints is shown only where it fails.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then return 0; fi
    cat "$log" >&2
    say "failed: $*"
    exit 3
}

have() { command -v "$1" >/dev/null 2>&1; }

# Prints the Debian packages that are missing, on one line.
missing() {
    have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null || printf 'python3-venv '
    [ "$task" != --docs ] || return 0
    [ "$task" != --browser ] || have chromium || printf 'chromium '
    have mmdebstrap || printf 'mmdebstrap '
    have mke2fs || printf 'e2fsprogs '
    have depmod || printf 'kmod '
    have xz || printf 'xz-utils '
    have git || printf 'git '
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || printf 'debian-archive-keyring '
    qemu_is_good || printf '%s ' "$qemu_package"
}

# QEMU 7.2 corrupts guests under software emulation; before 8.2 it does not save to a file by name.
qemu_is_good() {
    have "$qemu" || return 1
    version=$("$qemu" --version | sed -n 's/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ -n "$version" ] && [ "$((${version% *} * 100 + ${version#* }))" -ge 802 ]
}

# On Debian 12 a good QEMU is in backports: their source is the archive that this machine already uses.
backports() {
    . "$OS_RELEASE"
    [ "${ID:-}" = debian ] && [ "${VERSION_CODENAME:-}" = bookworm ] || return 0
    apt-cache policy | grep -q 'a=stable-backports\|n=bookworm-backports' && return 0
    archive=$(apt-cache policy | sed -n 's/^ *[0-9]* \(http[^ ]*\) bookworm\/main .*/\1/p' | head -n 1)
    [ -n "$archive" ] || return 0
    say "adding bookworm-backports, for QEMU"
    printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n' \
        "$archive" /usr/share/keyrings/debian-archive-keyring.gpg >/etc/apt/sources.list.d/workbook-backports.sources
    quietly apt-get update -q
}

# What to do on a machine without apt.
elsewhere() {
    if [ "$(uname -s)" != Linux ]; then
        say "the lab is built on Linux"
        say "next: open this folder in its devcontainer (.devcontainer)"
        exit 3
    fi
    [ ! -e "$OS_RELEASE" ] || . "$OS_RELEASE"
    say "missing here, by Debian's names: $packages"
    case " ${ID:-} ${ID_LIKE:-} " in
        *" fedora "*) say "they may be: sudo dnf install qemu-system-x86-core mmdebstrap debian-keyring e2fsprogs kmod xz git" ;;
        *" arch "*) say "they may be: sudo pacman -S qemu-system-x86 debian-archive-keyring e2fsprogs kmod xz git" ;;
    esac
    say "next: open this folder in its devcontainer (.devcontainer); it needs none of them"
    exit 3
}

system() {
    packages=$(missing)
    [ -n "$packages" ] || return 0
    have apt-get || elsewhere
    if [ "$(id -u)" != 0 ]; then
        say "missing here: $packages"
        command="sh harness/setup.sh --system${asked:+ $asked}"
        [ "$task" != --browser ] || command="apt-get install --no-install-recommends ${packages% }"
        if have sudo; then
            say "next: sudo $command"
        else
            say "next: su -c '$command'"
        fi
        exit 3
    fi
    say "installing: $packages"
    quietly apt-get update -q
    target=
    case "$packages" in *qemu*)
        backports
        if apt-cache policy | grep -q 'n=bookworm-backports'; then target='-t bookworm-backports'; fi ;;
    esac
    plain=$(printf '%s' "$packages" | sed "s/$qemu_package//")
    # shellcheck disable=SC2086 # words are separate packages
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $plain ca-certificates
    case "$packages" in *qemu*)
        # shellcheck disable=SC2086 # an option and its value
        quietly env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $target "$qemu_package" ;;
    esac
    packages=$(missing)
    [ -z "$packages" ] || { say "still missing after the installation: $packages"; exit 3; }
}

# Makes an environment from a lock file, unless it was made from the same bytes: $1 its folder, $2 the lock file.
environment() {
    # Two commands at once set up once.
    exec 9>>.setup.lock
    if have flock; then flock 9; fi
    stamp=$1/.complete
    want=$({ pwd; python3 --version; cat "$2" pyproject.toml; } | sha256sum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or newer is needed"; exit 3; }
    say "making the Python environment in $1"
    quietly python3 -m venv --clear "$1"
    quietly "$1/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$2"
    if [ "$task" != --docs ]; then
        quietly "$1/bin/python" -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
    fi
    printf '%s\n' "$want" >"$stamp"
}

system
case "$task" in
    --system) ;;
    --docs) environment .venv-docs requirements-docs.lock ;;
    --browser) environment .venv-browser requirements-browser.lock ;;
    *) environment .venv requirements.lock ;;
esac
