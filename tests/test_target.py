"""Which guest a command uses: options and environment, a recipe for each, and no two share a place in the cache."""

import os
import subprocess
from pathlib import Path

import pytest
import typer
from test_commands import WORKBOOK

from harness import cli
from harness.errors import LabError, UsageError
from harness.lab import qemu, saved
from harness.lab.image import architecture, cache, disk, kernels, recipe, target
from harness.lab.image.architecture import AARCH64, X86_64
from harness.lab.image.target import Target

ROOT = Path(__file__).resolve().parent.parent
EVERY = list(target.every())


@pytest.fixture(autouse=True)
def nothing_is_asked_for(monkeypatch):
    """Whatever the environment of these tests asks for."""
    monkeypatch.delenv(target.KERNEL, raising=False)
    monkeypatch.delenv(target.ARCH, raising=False)


@pytest.mark.parametrize(
    ("machine", "arch"), [("x86_64", X86_64), ("aarch64", AARCH64), ("riscv64", X86_64)], ids=lambda one: f"{one}"[:9]
)
def test_the_default_is_the_hosts_own_architecture(monkeypatch, machine, arch):
    monkeypatch.setattr(architecture.platform, "machine", lambda: machine)
    assert target.chosen() == target.default() == Target(kernels.DEFAULT, arch)
    assert target.chosen().options == ""


@pytest.mark.parametrize("name", ["aarch64", "arm64"])
def test_the_environment_chooses(monkeypatch, name):
    monkeypatch.setattr(architecture.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv(target.KERNEL, "5.10")
    monkeypatch.setenv(target.ARCH, name)
    assert str(target.chosen()) == "Linux 5.10, aarch64"
    assert target.chosen().options == " --kernel 5.10 --arch aarch64"
    assert not target.chosen().is_default


@pytest.mark.parametrize(("variable", "there"), [(target.KERNEL, "5.10, 6.1, 6.12, newest"), (target.ARCH, "x86_64")])
def test_an_unknown_name_lists_what_there_is(monkeypatch, variable, there):
    monkeypatch.setenv(variable, "vax")
    with pytest.raises(UsageError, match=there):
        target.chosen()


def test_what_is_wanted_is_all_that_the_environment_allows(monkeypatch):
    assert list(target.wanted()) == EVERY
    monkeypatch.setenv(target.KERNEL, "6.1")
    assert [str(one) for one in target.wanted()] == ["Linux 6.1, x86_64", "Linux 6.1, aarch64"]
    monkeypatch.setenv(target.ARCH, "aarch64")
    assert [str(one) for one in target.wanted()] == ["Linux 6.1, aarch64"]


def test_no_two_guests_share_a_disk_or_a_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(qemu, "find", lambda arch=None: qemu.Qemu("/usr/bin/qemu", "10.0.0"))
    monkeypatch.setattr(disk.Disk, "identity", lambda self: self.directory.name)
    images = [disk.of(one) for one in EVERY]
    assert len({image.directory for image in images}) == len(EVERY)
    assert len({saved.path_of(image, "tcg") for image in images}) == len(EVERY)


def test_kvm_is_not_tried_for_a_foreign_architecture(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(architecture.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(qemu, "find", lambda arch=None: qemu.Qemu("/usr/bin/qemu", "10.0.0"))
    monkeypatch.setattr(saved, "choose", lambda *_: pytest.fail("KVM is tried"))
    built = []
    monkeypatch.setattr(saved, "_build", lambda target, image, choice, work, say: built.append(choice))
    foreign = Target(kernels.DEFAULT, AARCH64)
    with cache.building(disk.of(foreign).directory) as work:
        (work / "disk.ext4").touch()
    with cache.locked("build"):
        saved._ensure_locked(foreign, print)
    assert [(one.name, one.reason) for one in built] == [("tcg", "aarch64 is emulated on x86_64")]


def packages(line):
    (found,) = (word.removeprefix("--include=") for word in line if word.startswith("--include="))
    return found.split(",")


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_a_recipe_asks_for_the_kernel_of_its_suite_alone(one):
    line = recipe.mmdebstrap_argv(recipe.of(one), "tree")
    assert f"--architectures={one.arch.debian}" in line
    assert {f"linux-{part}-cloud-{one.arch.debian}" for part in ("image", "headers")} <= set(packages(line))
    assert line[-2:] == ["trixie", "tree"]
    hooks = [word for word in line if word.startswith("--setup-hook=")]
    assert len(hooks) == (one.kernel.suite != "trixie")
    assert all(f"Pin: release n={one.kernel.suite}\\n" in hook for hook in hooks)


def test_the_second_suite_comes_from_the_archive_of_the_first(tmp_path):
    """The hook itself, on what mmdebstrap writes; it names no host."""
    apt = tmp_path / "etc/apt"
    for folder in ("sources.list.d", "preferences.d"):
        (apt / folder).mkdir(parents=True)
    lines = ["deb http://one.example/debian trixie main", "deb http://one.example/debian trixie-updates main"]
    (apt / "sources.list").write_text("\n".join(lines) + "\n")
    made = recipe.of(target.Target(target.kernel_named("6.1"), X86_64))
    (hook,) = (word for word in recipe.mmdebstrap_argv(made, "tree") if word.startswith("--setup-hook="))
    subprocess.run(["sh", "-c", hook.removeprefix("--setup-hook="), "sh", str(tmp_path)], check=True)
    assert (apt / "sources.list.d/kernel.list").read_text() == "deb http://one.example/debian bookworm main\n"
    pins = (apt / "preferences.d/kernel").read_text().splitlines()
    assert pins[0].startswith("Package: linux-image-* linux-headers-* ")
    assert pins[1:] == ["Pin: release n=bookworm", "Pin-Priority: 990"]


@pytest.fixture
def modules(tmp_path):
    """A kernel's modules.dep and modules.builtin, as depmod writes the first."""
    (tmp_path / "modules.dep").write_text(
        "kernel/virtio/virtio.ko.xz:\n"
        "kernel/virtio/virtio_ring.ko.xz: kernel/virtio/virtio.ko.xz\n"
        "kernel/block/virtio_blk.ko.xz: kernel/virtio/virtio_ring.ko.xz kernel/virtio/virtio.ko.xz\n"
        "kernel/char/virtio-console.ko: kernel/virtio/virtio_ring.ko.xz kernel/virtio/virtio.ko.xz\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/virtio/virtio_pci.ko\nkernel/fs/ext4/ext4.ko\n")
    return tmp_path


def test_modules_are_loaded_after_what_they_need_each_once(modules):
    found = disk.needed(["virtio_pci", "virtio_blk", "virtio_console"], modules)
    assert [path.name for path in found] == [
        "virtio.ko.xz",
        "virtio_ring.ko.xz",
        "virtio_blk.ko.xz",
        "virtio-console.ko",
    ]


def test_a_module_that_the_kernel_lacks_is_a_fault_of_the_lab(modules):
    with pytest.raises(LabError, match="has no virtio_fs"):
        disk.needed(["virtio_fs"], modules)


@pytest.mark.parametrize("found", [["6.12.1-cloud-amd64"], ["6.1.1-cloud-amd64", "6.1.2-cloud-amd64"], []])
def test_another_kernel_than_the_one_asked_for_is_refused(tmp_path, found):
    (tmp_path / "usr/lib/modules").mkdir(parents=True)
    for name in found:
        (tmp_path / "usr/lib/modules" / name).mkdir()
    with pytest.raises(LabError, match=r"expected one 6\.1\.\*"):
        disk._release(tmp_path, recipe.of(Target(target.kernel_named("6.1"), X86_64)))


def workbook(*arguments, **environment):
    return subprocess.run(
        [*WORKBOOK, *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


NO_GUEST = {
    "list", "progress", "hint", "diff", "reset", "new", "flamegraph", "report", "lab clean", "author stubs",
    "author screens",
}  # fmt: skip


def commands(group, before=""):
    """Name → command, of all that can be typed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_each_command_that_uses_a_guest_lets_one_choose_it():
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in commands(typer.main.get_command(cli.app))
    }
    assert {name for name, known in options.items() if {"--kernel", "--arch"} <= known} == options.keys() - NO_GUEST


def test_an_option_is_stronger_than_the_environment(tmp_path):
    there = {"XDG_CACHE_HOME": str(tmp_path), target.KERNEL: "5.10"}
    assert workbook("lab", "status", **there).stdout.startswith("lab                  Linux 5.10, ")
    seen = workbook("lab", "status", "--kernel", "6.1", "--arch", "arm64", **there)
    assert (seen.returncode, seen.stdout.splitlines()[0].split(maxsplit=1)[1]) == (3, "Linux 6.1, aarch64")


@pytest.mark.parametrize("given", [{"arguments": ["--kernel", "2.6"]}, {"environment": {target.KERNEL: "2.6"}}])
def test_an_unknown_kernel_is_wrong_usage(given):
    seen = workbook("lab", "status", *given.get("arguments", ()), **given.get("environment", {}))
    assert seen.returncode == 2
    assert "there is no kernel '2.6': 5.10, 6.1, 6.12, newest" in seen.stderr


def test_the_package_of_a_missing_qemu_is_named(tmp_path):
    seen = workbook("lab", "build", "--arch", "aarch64", PATH="/nonexistent", XDG_CACHE_HOME=str(tmp_path))
    assert seen.returncode == 3
    assert "qemu-system-aarch64 is not installed (package qemu-system-arm)" in seen.stderr
    assert "next: WORKBOOK_ARCH=aarch64 make setup" in seen.stderr


def test_pages_are_written_from_the_default_lab_alone():
    seen = workbook("author", "pages", "--kernel", "6.1")
    assert seen.returncode == 2
    assert "pages show the default lab" in seen.stderr


def test_pytest_takes_the_options_and_names_the_lab(course):
    course.write("test_small.py", "def test_one(): pass\n")
    seen = course.pytest("--collect-only", "--kernel", "5.10", "--arch", "arm64", "lessons/90-small")
    assert (seen.code, "lab vm (Linux 5.10, aarch64)" in seen.screen) == (0, True)
    assert "lab vm, seed" in course.pytest("--collect-only", "lessons/90-small").screen
    seen = course.pytest("--collect-only", "--kernel", "2.6", "lessons/90-small")
    assert (seen.code, "there is no kernel '2.6'" in seen.screen) == (4, True)
