"""From a configuration to QEMU's command line. Nothing is started here."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import SetupError
from harness.lab.image.architecture import Architecture, own
from harness.lab.image.disk import Disk
from harness.lab.image.initramfs import PORT_NAME

MEMORY_MIB = 1024
CPUS = 2
MINIMUM = (8, 2)
"""QEMU 7.2 corrupts guests under TCG (faults in 7 of 70 restored guests; 10.0 had none in 58); 8.2 is the first that
saves to a file: address (QEMU 8.2, migration/file.c)."""
KERNEL_ARGUMENTS = "quiet loglevel=4 panic=-1 oops=panic random.trust_cpu=on net.ifnames=0 audit=0"


@dataclass(frozen=True)
class Qemu:
    """An installed QEMU."""

    path: str
    version: str
    """As printed, with the distribution's part: a saved guest fits this build alone."""


@cache
def find(arch: Architecture | None = None) -> Qemu:
    """The QEMU on PATH that runs guests of `arch`, by default this machine's; SetupError where missing or too old."""
    arch = arch or own()
    setup = "make setup" if arch == own() else f"WORKBOOK_ARCH={arch.name} make setup"
    path = shutil.which(arch.program)
    if path is None:
        raise SetupError(f"{arch.program} is not installed (package {arch.package})", remedy=setup)
    printed = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.splitlines()
    match = re.search(r"version (\d+)\.(\d+)\S*.*", printed[0] if printed else "")
    if match is None:
        raise SetupError(f"{path} --version printed nothing that looks like QEMU", remedy="make doctor")
    if (int(match[1]), int(match[2])) < MINIMUM:
        raise SetupError(
            f"QEMU {match[1]}.{match[2]} cannot save a guest that works; {MINIMUM[0]}.{MINIMUM[1]} or newer is needed",
            remedy=setup,
        )
    return Qemu(path, match[0].removeprefix("version "))


@dataclass(frozen=True)
class Wiring:
    """File descriptors that QEMU inherits."""

    channel: int
    console: int
    monitor: int | None = None
    incoming: int | None = None


def argv(qemu: Qemu, disk: Disk, initrd: Path, accelerator: str, wiring: Wiring) -> list[str]:
    """QEMU's command line: no network card, no shared folder, no way to start another program.

    And no PMU, on any accelerator: the same lesson meets the same machine, and no counter has to be saved.
    """
    line = [
        qemu.path,
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none",
        "-machine", f"{disk.arch.machine},accel={accelerator}",
        "-cpu", f"{disk.arch.cpu_models[accelerator]},pmu=off",
        "-smp", str(CPUS),
        "-m", str(MEMORY_MIB),
        "-kernel", str(disk.kernel), "-initrd", str(initrd),
        "-append", f"{disk.arch.kernel_arguments} {KERNEL_ARGUMENTS}",
        "-drive", f"if=none,id=disk,file={disk.image},format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=disk",
        "-chardev", f"socket,id=console,fd={wiring.console}", "-serial", "chardev:console",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=channel,fd={wiring.channel}",
        "-device", f"virtserialport,chardev=channel,name={PORT_NAME}",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]  # fmt: skip
    if wiring.monitor is not None:
        line += ["-chardev", f"socket,id=monitor,fd={wiring.monitor}", "-mon", "chardev=monitor,mode=control"]
    if wiring.incoming is not None:
        line += ["-incoming", f"fd:{wiring.incoming}"]
    return line
