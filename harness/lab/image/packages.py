"""Which packages a disk image was made of, with their versions; and how these differ from what the course's proofs had.

A Debian mirror has only the newest version of each package in a suite, so a recipe that named versions would fail after
the next update. (Debian's dated archive has them all. It is a service apart from the mirrors, and not every machine
that reaches a mirror reaches it.) So the list is kept beside the image and compared. An image is not rebuilt when the
mirror moves on.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path

LIST = "packages.txt"
"""Beside the disk image: a line "NAME VERSION" for each package, sorted."""
PROVEN = Path(__file__).with_name("proven.txt")
"""The same of the image on which the course was last proven: `workbook lab status --packages` prints it."""
DECISIVE = (
    "linux-headers-", "linux-image-", "python3-bpfcc", "libbpfcc", "libbpf1", "libclang", "libllvm", "python3.",
    "libc6", "bpftool", "linux-perf",
)  # fmt: skip
"""How the names begin of what a lesson's outcome rests on."""


def of_debs(names: Iterable[str]) -> dict[str, str]:
    """Package → version, from the names of .deb files: name_version_architecture.deb, with %3a for a colon."""
    parts = (name.removesuffix(".deb").split("_") for name in names)
    return {part[0]: urllib.parse.unquote(part[1]) for part in sorted(parts) if len(part) == 3}


def text(found: Mapping[str, str]) -> str:
    """As it is kept."""
    return "".join(f"{name} {version}\n" for name, version in sorted(found.items()))


def read(path: Path) -> dict[str, str]:
    """Package → version, as kept in `path`; empty where there is no such file."""
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}


def differences(here: Mapping[str, str], proven: Mapping[str, str]) -> list[str]:
    """In words, what differs in the packages that matter: in version, or there on one side alone.

    A kernel's packages are named for their architecture; one is as good as the other.
    """
    here, proven = _of_any_architecture(here), _of_any_architecture(proven)
    names = sorted(name for name in here.keys() | proven.keys() if name.startswith(DECISIVE))
    return [
        f"{name} {here.get(name, 'is missing')} (proven with {proven.get(name, 'none')})"
        for name in names
        if here.get(name) != proven.get(name)
    ]


def _of_any_architecture(found: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("arm64", "amd64"): version for name, version in found.items()}
