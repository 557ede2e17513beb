"""QEMU's command line: what is in it, and that the installed QEMU understands it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.lab import qemu
from harness.lab.image import recipe
from harness.lab.image.architecture import ARCHITECTURE
from harness.lab.image.disk import Disk

FOUND = qemu.Qemu("/usr/bin/qemu", "10.0.0")


def value(line, option):
    return line[line.index(option) + 1]


def argv(accelerator="tcg"):
    return qemu.argv(FOUND, Disk(Path("/image")), Path("initrd"), accelerator, qemu.Wiring(channel=3, console=4))


def test_a_guest_has_no_device_that_the_lab_does_not_use():
    machine, *switches = value(argv(), "-machine").split(",")
    assert machine == "q35"
    assert switches == ["sata=off", "smbus=off", "vmport=off", "smm=off", "accel=tcg"]


def test_the_installed_qemu_knows_each_switch_of_the_machine():
    machine, *switches = ARCHITECTURE.machine.split(",")
    said = subprocess.run(
        [ARCHITECTURE.program, "-machine", f"{machine},help"], capture_output=True, text=True, check=True
    )
    known = {line.strip().partition("=")[0] for line in said.stdout.splitlines()}
    assert {switch.partition("=")[0] for switch in switches} <= known


@pytest.mark.parametrize(("accelerator", "model"), [("tcg", "Nehalem,-cx16"), ("kvm", "host")])
def test_a_cpu_model_fits_its_accelerator(accelerator, model):
    assert value(argv(accelerator), "-cpu") == model


def test_the_guests_packages_are_of_the_guests_architecture(monkeypatch):
    monkeypatch.setattr(recipe, "ARCHITECTURE", replace(ARCHITECTURE, debian="arm64"))
    line = recipe.mmdebstrap_argv(recipe.Recipe(), "target")
    assert "--architectures=arm64" in line
    assert f"linux-image-cloud-{ARCHITECTURE.debian}" in recipe.DEFAULT.packages
