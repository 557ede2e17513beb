"""The kinds of processor that a guest can have, and what differs between them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    package: str
    """Debian's package with that program."""
    machine: str
    """QEMU's machine, without the devices that the lab does not use."""
    cpu_models: Mapping[str, str] = field(hash=False)
    """Accelerator → CPU model."""
    kernel_arguments: str
    """What the kernel's command line needs here alone."""


X86_64 = Architecture(
    name="x86_64",
    debian="amd64",
    program="qemu-system-x86_64",
    package="qemu-system-x86",
    # A guest can reach no code of devices that are not there: SATA, SMBus, VMware's port, system management mode.
    machine="q35,sata=off,smbus=off,vmport=off,smm=off",
    # Without cmpxchg16b QEMU 7.2 showed none of its faults, with it 7 in 70 restores. Of the versions that are accepted
    # only 10.0 was put under stress with it (0 in 58), 8.2 to 9.2 were not; and nothing in the guest needs it.
    # In KVM only features that can be saved and restored (migratable: target/i386/cpu.c, QEMU 10.0), and no
    # virtualization inside the guest, whose state would have to be saved too.
    cpu_models=MappingProxyType({"kvm": "host,migratable=on,vmx=off,svm=off", "tcg": "Nehalem,-cx16"}),
    # Without mitigations against speculation a compile costs a quarter less CPU time under TCG, and a guest that is
    # thrown away holds nothing that one process must not learn of another.
    kernel_arguments="console=ttyS0 mitigations=off",
)
AARCH64 = Architecture(
    name="aarch64",
    debian="arm64",
    program="qemu-system-aarch64",
    package="qemu-system-arm",
    machine="virt",
    # Debian's kernel needs no more than ARMv8.0; neoverse-n1 compiled no faster under TCG.
    cpu_models=MappingProxyType({"kvm": "host", "tcg": "cortex-a72"}),
    kernel_arguments="console=ttyAMA0",
)
ARCHITECTURES = (X86_64, AARCH64)


def own() -> Architecture:
    """This machine's own; x86_64, in software emulation, on a machine that the table does not have."""
    return next((one for one in ARCHITECTURES if one.name == platform.machine()), X86_64)
