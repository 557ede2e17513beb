"""QEMU's command line: what is in it, and that the installed QEMU understands it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.lab import qemu
from harness.lab.image.architecture import AARCH64, ARCHITECTURES, X86_64, own
from harness.lab.image.disk import Disk

FOUND = qemu.Qemu("/usr/bin/qemu", "10.0.0")


def value(line, option):
    return line[line.index(option) + 1]


def argv(accelerator="tcg", arch=X86_64):
    return qemu.argv(FOUND, Disk(Path("/image"), arch), Path("initrd"), accelerator, qemu.Wiring(channel=3, console=4))


def test_a_guest_has_no_device_that_the_lab_does_not_use():
    machine, *switches = value(argv(), "-machine").split(",")
    assert machine == "q35"
    assert switches == ["sata=off", "smbus=off", "vmport=off", "smm=off", "accel=tcg"]


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: arch.name)
def test_the_installed_qemu_knows_machine_and_cpu(arch):
    if arch != own() and shutil.which(arch.program) is None:
        pytest.skip(f"{arch.package} is not installed")
    machine, *switches = arch.machine.split(",")
    assert {switch.partition("=")[0] for switch in switches} <= known(arch, "-machine", f"{machine},help")
    assert arch.cpu_models["tcg"].split(",")[0] in known(arch, "-cpu", "help") | known(arch, "-cpu", "help", column=1)


def known(arch, *question, column=0):
    """The words in one column of an answer of QEMU's, without what is behind an equals sign."""
    question = [arch.program, "-machine", arch.machine.split(",")[0], *question]
    said = subprocess.run(question, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return {row[column].partition("=")[0] for row in rows if len(row) > column}


def test_each_architecture_has_its_own_console_and_machine():
    assert "console=ttyAMA0" in value(argv(arch=AARCH64), "-append").split()
    assert "console=ttyS0" in value(argv(), "-append").split()
    assert value(argv(arch=AARCH64), "-machine") == "virt,accel=tcg"
    assert value(argv(arch=AARCH64), "-cpu") == "cortex-a72,pmu=off"


@pytest.mark.parametrize(("accelerator", "model"), [("tcg", "Nehalem,-cx16"), ("kvm", "host,")])
def test_a_cpu_model_fits_its_accelerator(accelerator, model):
    assert value(argv(accelerator), "-cpu").startswith(model)
