"""What the guest is made of. Its digest keys the disk image in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from harness.lab.image.architecture import ARCHITECTURE


@dataclass(frozen=True)
class Recipe:
    """A Debian suite, the packages in the guest, and the files of theirs that are left out."""

    suite: str = "trixie"
    packages: tuple[str, ...] = (
        # a kernel whose headers match
        f"linux-image-cloud-{ARCHITECTURE.debian}",
        f"linux-headers-cloud-{ARCHITECTURE.debian}",
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
    )
    links: tuple[tuple[str, str], ...] = (("usr/bin/awk", "mawk"), ("usr/bin/pager", "less"))
    """Alternatives, which maintainer scripts would have set: path and target."""
    modules: tuple[str, ...] = ("drivers/block/virtio_blk.ko",)
    """Kernel modules that the guest needs before it can read its disk."""
    disk_mib: int = 1024
    """Size of the file system; the file is sparse."""

    def digest(self) -> str:
        """Twelve hexadecimal digits over all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


DEFAULT = Recipe()


def mmdebstrap_argv(recipe: Recipe, target: str) -> list[str]:
    """Unpacks the packages as any user, with no name spaces and no maintainer scripts (mmdebstrap(1), chrootless)."""
    return [
        "mmdebstrap",
        "--mode=chrootless",
        "--variant=extract",
        f"--architectures={ARCHITECTURE.debian}",
        *(f"--dpkgopt=path-exclude={path}" for path in recipe.excludes),
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        target,
    ]


def mke2fs_argv(recipe: Recipe, source: str, image: str) -> list[str]:
    """Makes the file system from a directory without mounting anything (mke2fs(8), -d)."""
    return [
        "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "lab",
        "-d", source, image, f"{recipe.disk_mib}M",
    ]  # fmt: skip
