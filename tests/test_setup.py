"""harness/setup.sh on other machines: what is missing is named with the one line to type, and the exit code is 3."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
USED = ("sh", "python3", "sed", "grep", "head", "dirname", "uname", "id", "mktemp", "cat", "rm", "env", "sleep")


@pytest.fixture
def machine(tmp_path):
    """A machine that has next to nothing on PATH: `programs` are scripts beside it, `release` is its os-release."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "tmp").mkdir()
    for name in USED:
        (folder / name).symlink_to(shutil.which(name))

    def setup(release="", programs=None, task="--system", **asked):
        for name, script in (programs or {}).items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        (tmp_path / "os-release").write_text(release)
        places = {"PATH": str(folder), "OS_RELEASE": str(tmp_path / "os-release"), "TMPDIR": str(tmp_path / "tmp")}
        return subprocess.run(
            ["/bin/sh", "harness/setup.sh", task],
            cwd=ROOT,
            env=places | asked,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return setup


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("ID=fedora\n", "sudo dnf install qemu-system-x86-core mmdebstrap"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install qemu-system-x86-core mmdebstrap"),
        ("ID=arch\n", "sudo pacman -S qemu-system-x86"),
        ("ID=nixos\n", "by Debian's names: "),
    ],
    ids=["fedora", "like fedora", "arch", "another"],
)
def test_elsewhere_the_packages_and_the_devcontainer_are_named(machine, release, line):
    seen = machine(release)
    assert seen.returncode == 3
    assert "mmdebstrap" in seen.stderr
    assert line in seen.stderr
    assert "next: open this folder in its devcontainer (.devcontainer)" in seen.stderr


@pytest.mark.parametrize(
    ("version", "missing"),
    [
        ("7.2.15 (Debian 1:7.2+dfsg-7)", True),
        ("8.1.5", True),
        ("8.2.2 (Debian 1:8.2.2+ds-0)", False),
        ("10.0.2", False),
    ],
)
def test_a_qemu_that_cannot_save_a_good_guest_is_as_missing(machine, version, missing):
    seen = machine("ID=nixos\n", {"qemu-system-x86_64": f"echo 'QEMU emulator version {version}'"})
    assert ("qemu-system-x86" in seen.stderr.splitlines()[0]) is missing


@pytest.mark.parametrize(
    ("machines", "asked", "package"),
    [
        ("x86_64", {}, "qemu-system-x86"),
        ("aarch64", {}, "qemu-system-arm"),
        ("x86_64", {"WORKBOOK_ARCH": "arm64"}, "qemu-system-arm"),
        ("aarch64", {"WORKBOOK_ARCH": "x86_64"}, "qemu-system-x86"),
    ],
)
def test_the_qemu_of_the_architecture_is_what_is_missing(machine, machines, asked, package):
    programs = {"uname": f'[ "$1" = -s ] && echo Linux || echo {machines}', "apt-get": "exit 1", "id": "echo 1000"}
    seen = machine("ID=debian\n", programs, **asked).stderr
    words = seen.splitlines()[0].split()
    assert [word for word in words if word.startswith("qemu")] == [package]
    assert seen.splitlines()[-1].endswith(f"--system{''.join(f' {name}' for name in asked.values())}'")


def test_on_another_system_the_devcontainer_is_the_way(machine):
    seen = machine(programs={"uname": "echo Darwin"})
    assert seen.returncode == 3
    assert "the lab is built on Linux" in seen.stderr
    assert "dnf" not in seen.stderr
    assert "next: open this folder in its devcontainer (.devcontainer)" in seen.stderr


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"sudo": "exit 1"}, "next: sudo sh harness/setup.sh --system"),
        ({}, "next: su -c 'sh harness/setup.sh --system'"),
    ],
    ids=["sudo", "no sudo"],
)
def test_an_ordinary_user_is_given_the_line_to_type(machine, more, line):
    seen = machine("ID=debian\n", {"apt-get": "exit 1", "id": "echo 1000"} | more)
    assert seen.returncode == 3
    assert "missing here: " in seen.stderr
    assert line in seen.stderr


@pytest.mark.parametrize(("task", "wanted"), [("--browser", True), ("--system", False)])
def test_chromium_is_for_the_browsers_tests_alone(machine, task, wanted):
    seen = machine("ID=debian\n", {"apt-get": "exit 1", "id": "echo 1000", "sudo": "exit 1"}, task)
    assert ("chromium" in seen.stderr.splitlines()[0]) is wanted
    assert ("next: sudo apt-get install --no-install-recommends " in seen.stderr) is wanted


def test_a_failed_installation_shows_apts_words(machine):
    apt = {"apt-get": 'echo "E: Temporary failure resolving"; echo "PATH is $PATH"; exit 100', "id": "echo 0"}
    seen = machine("ID=debian\n", apt)
    assert seen.returncode == 3
    assert "E: Temporary failure resolving" in seen.stderr
    assert "setup: failed: apt-get update" in seen.stderr
    path = seen.stderr.split("PATH is ")[1].splitlines()[0].split(os.pathsep)
    assert "/usr/sbin" in path  # dpkg's own programs; `su` keeps a PATH without it


@pytest.mark.parametrize("end", ["exit 100", "kill -INT $PPID; sleep 1"], ids=["it fails", "Ctrl-C"])
def test_no_temporary_file_is_left(machine, tmp_path, end):
    seen = machine("ID=debian\n", {"apt-get": f"mktemp; {end}", "id": "echo 0"})
    assert seen.returncode == (3 if "exit" in end else 130)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("target", "built"), [("setup", True), ("all", True), ("quick", False), ("lesson-01", False)])
def test_only_targets_that_need_the_lab_build_it(target, built):
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("sh harness/setup.sh\n")
    assert ("workbook lab build" in shown) == built


def test_the_site_needs_python_alone(machine):
    seen = machine("ID=nixos\n", {"python3": "exit 1"}, task="--docs")
    assert seen.returncode == 3
    assert seen.stderr.splitlines()[0].split("names: ")[1].split() == ["python3-venv"]
