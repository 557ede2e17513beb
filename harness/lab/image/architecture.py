"""The kinds of processor that a guest can have, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Architecture:
    """One kind of processor."""

    name: str
    """As `uname -m` prints it."""
    debian: str
    """As Debian's packages name it."""
    program: str
    """QEMU's program that emulates it."""
    machine: str
    """QEMU's machine, without the devices that the lab does not use."""
    cpu_models: Mapping[str, str]
    """Accelerator → CPU model."""
    console: str
    """The kernel's name of the serial console."""


X86_64 = Architecture(
    name="x86_64",
    debian="amd64",
    program="qemu-system-x86_64",
    # A guest can reach no code of devices that are not there: SATA, SMBus, VMware's port, system management mode.
    machine="q35,sata=off,smbus=off,vmport=off,smm=off",
    # Without cmpxchg16b QEMU 7.2 showed none of its faults, with it 7 in 70 restores. Of the versions that are accepted
    # only 10.0 was put under stress with it (0 in 58), 8.2 to 9.2 were not; and nothing in the guest needs it.
    cpu_models=MappingProxyType({"kvm": "host", "tcg": "Nehalem,-cx16"}),
    console="ttyS0",
)
ARCHITECTURE = X86_64
"""The guest's, on every host: elsewhere it runs in software emulation."""
