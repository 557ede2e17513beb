"""Which guest a command uses: a kernel and an architecture.

Options and the environment are one thing: `--kernel 6.1` sets WORKBOOK_KERNEL for the command and all that it starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import UsageError
from harness.lab.image import architecture, kernels
from harness.lab.image.architecture import ARCHITECTURES, Architecture
from harness.lab.image.kernels import KERNELS, Kernel

KERNEL, ARCH = "WORKBOOK_KERNEL", "WORKBOOK_ARCH"
"""Environment variables; where one is missing or empty, the default."""


@dataclass(frozen=True)
class Target:
    """One kind of guest."""

    kernel: Kernel
    arch: Architecture

    def __str__(self) -> str:
        return f"Linux {self.kernel.name}, {self.arch.name}"

    @property
    def is_default(self) -> bool:
        """What a command uses that was given no options."""
        return self == default()

    @property
    def options(self) -> str:
        """The options that ask for it, each with a space before it; nothing for the default."""
        kernel = "" if self.kernel == kernels.DEFAULT else f" --kernel {self.kernel.name}"
        return kernel + ("" if self.arch == architecture.own() else f" --arch {self.arch.name}")


def default() -> Target:
    """The course's kernel on this machine's own architecture."""
    return Target(kernels.DEFAULT, architecture.own())


def chosen() -> Target:
    """What the environment asks for; UsageError names what there is."""
    return Target(kernel_named(os.environ.get(KERNEL, "")), arch_named(os.environ.get(ARCH, "")))


def kernel_named(name: str) -> Kernel:
    """The kernel of that name, the default where it is empty; UsageError names what there is."""
    if not name:
        return kernels.DEFAULT
    for one in KERNELS:
        if one.name == name:
            return one
    raise UsageError(f"there is no kernel {name!r}: {', '.join(one.name for one in KERNELS)}")


def arch_named(name: str) -> Architecture:
    """The architecture of that name, Debian's too; this machine's where it is empty; UsageError names what there is."""
    if not name:
        return architecture.own()
    for one in ARCHITECTURES:
        if name in (one.name, one.debian):
            return one
    raise UsageError(f"there is no architecture {name!r}: {', '.join(one.name for one in ARCHITECTURES)}")


def every() -> Iterator[Target]:
    """All that there are, in the order of the tables."""
    for arch in ARCHITECTURES:
        for kernel in KERNELS:
            yield Target(kernel, arch)


def wanted() -> Iterator[Target]:
    """Of all, those of the kernel and of the architecture that the environment asks for; where it does not, each."""
    one = chosen()
    for target in every():
        if os.environ.get(KERNEL) and target.kernel != one.kernel:
            continue
        if os.environ.get(ARCH) and target.arch != one.arch:
            continue
        yield target
