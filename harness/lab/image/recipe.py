"""What the guest is made of. Its digest keys the disk image in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from harness.lab.image.target import Target


@dataclass(frozen=True)
class Recipe:
    """A Debian suite, the packages in the guest, and the files of theirs that are left out."""

    arch: str
    """Debian's name of the architecture."""
    kernel_suite: str
    """Where the kernel, its headers and its modules come from; all else is from `suite`."""
    release: str = ""
    """How the kernel's release must begin."""
    suite: str = "trixie"
    packages: tuple[str, ...] = (
        # BCC, and what lesson 08's command line uses
        "python3-bpfcc",
        "python3-typer",
        # witnesses for the tests, and for the curious
        "bpfcc-tools",
        "bpftool",
        "linux-perf",
        "ltrace",
        "strace",
        # the rest of a small system
        "bash",
        "busybox-static",
        "coreutils",
        "dash",
        "findutils",
        "gcc",
        "grep",
        "iproute2",
        "kmod",
        "less",
        "libc-bin",
        "libc6-dev",
        "mawk",
        "ncurses-base",
        "procps",
        "sed",
        "util-linux",
    )
    excludes: tuple[str, ...] = (
        "/usr/share/doc/*",
        "/usr/share/locale/*",
        "/usr/share/man/*",
        "/usr/share/ieee-data/*",
        "/usr/share/zoneinfo/*",
        "/usr/bin/*-lto-dump*",
        # compilers that older kernels' headers depend on; BCC brings its own
        "/usr/lib*/gcc/*/1[0-3]/*",
    )
    links: tuple[tuple[str, str], ...] = (("usr/bin/awk", "mawk"), ("usr/bin/pager", "less"))
    """Alternatives, which maintainer scripts would have set: path and target."""
    modules: tuple[str, ...] = ("virtio_pci", "virtio_blk", "virtio_console")
    """What the guest needs before it can read its disk and be spoken to, as far as its kernel has that as modules."""
    disk_mib: int = 1024
    """Size of the file system; the file is sparse."""

    def digest(self) -> str:
        """Twelve hexadecimal digits over all fields, and the commands that are made of them."""
        parts = [asdict(self), mmdebstrap_argv(self, ""), mke2fs_argv(self, "", "")]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def of(target: Target) -> Recipe:
    """The recipe of that guest."""
    return Recipe(arch=target.arch.debian, kernel_suite=target.kernel.suite, release=target.kernel.release)


PARTS = ("image-*", "headers-*", "kbuild-*", "compiler-*", "modules-*", "binary-*", "base", "base-*")
KERNEL_PACKAGES = " ".join(f"linux-{part}" for part in PARTS)
"""Debian's kernel, headers and modules, by the names of all suites; patterns of apt_preferences(5)."""
FROM_ITS_SUITE = """\
sed -n 's, {suite} main, {kernel_suite} main,p' "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/kernel.list"
printf 'Package: {packages}\\nPin: release n={kernel_suite}\\nPin-Priority: 990\\n' >"$1/etc/apt/preferences.d/kernel"
"""
"""A shell's script, before packages are chosen: the kernel's suite comes from the archive that mmdebstrap found, and is
preferred for the kernel alone. (Of what is asked for as `package/suite`, all dependencies are of that suite, libc too.)
"""


def mmdebstrap_argv(recipe: Recipe, target: str) -> list[str]:
    """Unpacks the packages as any user, with no name spaces and no maintainer scripts (mmdebstrap(1), chrootless)."""
    second = FROM_ITS_SUITE.format(suite=recipe.suite, kernel_suite=recipe.kernel_suite, packages=KERNEL_PACKAGES)
    # a kernel whose headers match
    packages = (f"linux-image-cloud-{recipe.arch}", f"linux-headers-cloud-{recipe.arch}", *recipe.packages)
    return [
        "mmdebstrap",
        "--mode=chrootless",
        "--variant=extract",
        "--skip=cleanup/apt/cache",  # the packages' files: their names say which versions they are
        f"--architectures={recipe.arch}",
        *(f"--dpkgopt=path-exclude={path}" for path in recipe.excludes),
        *([f"--setup-hook={second}"] if recipe.kernel_suite != recipe.suite else []),
        f"--include={','.join(packages)}",
        recipe.suite,
        target,
    ]


def mke2fs_argv(recipe: Recipe, source: str, image: str) -> list[str]:
    """Makes the file system from a directory without mounting anything (mke2fs(8), -d)."""
    return [
        "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "lab",
        "-d", source, image, f"{recipe.disk_mib}M",
    ]  # fmt: skip
