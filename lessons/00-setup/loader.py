"""Meet the lab: what this kernel can do, and what two small C functions become in it.

Run it as `workbook run setup`, or outside the lab as root: `python3 loader.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("setup.bpf.c")
PROGRAMS = (b"nothing", b"sum")
INSTRUCTION_BYTES = 8


@dataclass(frozen=True)
class KernelFacts:
    """What the running kernel says about itself."""

    release: str
    """As `uname -r` prints it."""
    btf: bool
    """Whether the kernel describes its own types: it does if /sys/kernel/btf/vmlinux exists."""
    jit: bool
    """Whether BPF programs become machine code: /proc/sys/net/core/bpf_jit_enable holds 1 or 2 if so, 0 if not."""


def facts() -> KernelFacts:
    """Ask the kernel again at each call."""
    raise NotImplementedError("TODO 1: ask the kernel for its release, its BTF and its JIT")


def load() -> BPF:
    """Compile setup.bpf.c and load each of PROGRAMS through the verifier into the kernel; nothing calls them yet."""
    raise NotImplementedError("TODO 2: compile SOURCE, load each of PROGRAMS as a KPROBE, return the BPF object")


def instructions(bpf: BPF, name: bytes) -> int:
    """The number of instructions that the C function `name` became; none here takes two slots of INSTRUCTION_BYTES."""
    raise NotImplementedError("TODO 3: get the function's bytecode from bpf, count its instructions")


def main() -> None:
    """Print the kernel's facts and the programs, then unload the programs."""
    kernel = facts()
    print(f"Linux {kernel.release}")
    print(f"BTF   {'yes: the kernel describes its own types' if kernel.btf else 'no'}")
    print(f"JIT   {'yes: programs become machine code' if kernel.jit else 'no: programs are interpreted'}")
    bpf = load()
    print(f"\n{'PROGRAM':<10} {'INSTRUCTIONS':>12} {'BYTES':>6}")
    for name in PROGRAMS:
        number = instructions(bpf, name)
        print(f"{name.decode():<10} {number:>12} {number * INSTRUCTION_BYTES:>6}")
    bpf.cleanup()


if __name__ == "__main__":
    main()
