"""Which lab, by name; how many guests at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.lab import saved
from harness.lab.guest import Lab
from harness.lab.image.target import Target
from harness.lab.qemu import MEMORY_MIB
from harness.lab.virtual import VirtualLab

GUEST_MIB = MEMORY_MIB + 512
"""What a running guest takes on the host: its own memory and QEMU's."""


def available_mib() -> int:
    """MiB of memory that new programs can have (/proc/meminfo, MemAvailable)."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) >> 10


def fitting() -> int:
    """How many guests this machine runs side by side: a core for each, and memory."""
    return max(1, min(os.cpu_count() or 1, available_mib() // GUEST_MIB))


def open_lab(name: str, target: Target, say: Callable[[str], None]) -> Lab:
    """ "vm": the saved guest, built if need be; "host": this kernel, as root. LabError where it cannot be had."""
    if name == "host":
        from harness.lab.host import HostLab

        return HostLab()
    return VirtualLab(saved.ensure(target, say))
