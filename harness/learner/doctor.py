"""The doctor: every thing that a lesson needs, here and in the lab: its state, why, the command that fixes it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.course.catalog import Lesson
from harness.errors import SetupError, WorkbookError
from harness.lab import accelerator, host, qemu, saved
from harness.lab.accelerator import Choice
from harness.lab.choose import available_mib
from harness.lab.image import cache, disk, packages
from harness.lab.image import target as targets
from harness.lab.image.architecture import own
from harness.lab.image.disk import Disk
from harness.lab.image.target import Target
from harness.lab.virtual import VirtualLab
from harness.protocol.frames import WireError
from harness.protocol.messages import read_features
from harness.protocol.names import ALWAYS_NEEDED
from harness.protocol.visible import visible

State = Literal["ok", "missing", "note"]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAMS = {
    "mmdebstrap": "unpacks Debian into the lab's disk",
    "mke2fs": "makes the disk image",
    "depmod": "indexes the guest's kernel modules",
    "xz": "unpacks a kernel module",
    "setpriv": "ends QEMU with the workbook",
    "git": "separates your edits from the course's files",
}
CACHE_MIB = 3072
"""Room while the lab is being built; finished it takes about 1.1 GiB."""
MEMORY_MIB = 1536
CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman put into a container."""
SHOWN = 3
"""Packages that differ."""
SETUP = "make setup"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    why: str
    remedy: str | None = None


def examine(lessons: Sequence[Lesson], say: Callable[[str], None]) -> Iterator[Finding]:
    """All findings, as they come; the lab's own are probed in a fresh guest."""
    if platform.system() != "Linux":
        why = f"{platform.system()} {platform.machine()}: the lab is built on Linux"
        yield Finding("system", "missing", why, "open the devcontainer (.devcontainer)")
        return
    yield _load()
    target = targets.chosen()
    yield from here(target)
    yield from lab(target, lessons, say)
    yield host_kernel()


def here(target: Target) -> Iterator[Finding]:
    """What this machine has for that lab."""
    yield _platform(target)
    version = platform.python_version()
    yield _finding("Python", sys.version_info >= (3, 11), version, f"{version}; 3.11 or newer is needed", SETUP)
    try:
        found = qemu.find(target.arch)
        yield Finding("QEMU", "ok", f"{found.version}, {found.path}")
    except SetupError as error:
        yield Finding("QEMU", "missing", str(error), error.remedy)
    path = f"{os.environ.get('PATH', '')}:{disk.SBIN}"
    for name, purpose in PROGRAMS.items():
        where = shutil.which(name, path=path)
        yield _finding(name, where is not None, f"{where}", f"not installed; it {purpose}", SETUP)
    yield _finding("Debian's keys", KEYRING.exists(), str(KEYRING), f"{KEYRING} is not there", SETUP)
    if (wrong := _pypi_bcc()) is not None:
        yield Finding("bcc", "note", wrong, f"{sys.executable} -m pip uninstall bcc")
    yield _memory()
    yield _space(target)


def _platform(target: Target) -> Finding:
    kind = f"{platform.system()} {platform.machine()}"
    if platform.machine() != target.arch.name:
        return Finding("system", "note", f"{kind}: the lab's guest is {target.arch.name}, in software emulation")
    return Finding("system", "ok", kind)


def _pypi_bcc() -> str | None:
    """PyPI's bcc is an unrelated package; nothing on the host needs one."""
    try:
        version = importlib.metadata.version("bcc")
    except importlib.metadata.PackageNotFoundError:
        return None
    return f"PyPI's bcc {version} is in this environment: another thing; the real one is in the lab (python3-bpfcc)"


def _memory() -> Finding:
    mib = available_mib()
    text = f"{mib} MiB free, a guest takes {qemu.MEMORY_MIB} MiB"
    return Finding("memory", "ok" if mib >= MEMORY_MIB else "note", text)


def _qemu_is_there(target: Target) -> bool:
    try:
        qemu.find(target.arch)
    except SetupError:
        return False
    return True


def _space(target: Target) -> Finding:
    folder = next(path for path in [cache.root(), *cache.root().parents] if path.exists())
    if folder == cache.root() and not cache.is_ours(folder):
        why = f"{folder} belongs to another user, or others may write to it"
        return Finding("cache", "missing", why, f"chmod -R go-w {folder}, or export XDG_CACHE_HOME=…")
    if not os.access(folder, os.W_OK):
        return Finding("cache", "missing", f"{folder} cannot be written", "export XDG_CACHE_HOME=…")
    free = shutil.disk_usage(folder).free >> 20
    if free < CACHE_MIB and not (_qemu_is_there(target) and saved.find(target)):
        why = f"{free} MiB free in {folder}; building the lab takes {CACHE_MIB} MiB"
        return Finding("cache", "missing", why, "free some room, or export XDG_CACHE_HOME=…")
    return Finding("cache", "ok", f"{cache.root()}, {free} MiB free")


def lab(target: Target, lessons: Sequence[Lesson], say: Callable[[str], None]) -> Iterator[Finding]:
    """The saved guest, and what its kernel can do for the lessons."""
    if not _qemu_is_there(target):
        return  # the finding on QEMU says it
    try:
        guest = saved.find(target)
    except SetupError as error:
        yield Finding("lab", "missing", str(error), error.remedy)
        return
    choice = accelerator.remembered() if target.arch == own() else saved.emulated(target)
    if choice is not None:
        yield _accelerator(choice)
    if guest is None:
        remedy = f"workbook lab build{target.options}" if target.options else "make lab"
        yield Finding("lab", "note", f"{target}: not built yet; the first check of a lesson builds it", remedy)
        return
    say("comparing the lab's files with their seals")
    if changed := [*cache.damaged(guest.disk.directory), *cache.damaged(guest.directory)]:
        yield Finding("lab", "missing", f"changed since it was built: {', '.join(changed)}", "make lab-clean lab")
        return
    say("asking the lab's kernel")
    virtual = VirtualLab(guest)
    try:
        with virtual.open() as machine:
            answer = machine.run(["python3", "-m", "harness.guest.observing.features"], timeout_s=120)
            lacking = read_features(answer.out.encode()).lacking if answer.status == 0 else {}
    except (WorkbookError, WireError) as error:
        yield Finding("lab", "missing", str(error), "make lab-clean lab")
        return
    finally:
        virtual.close()
    if answer.status != 0:
        why = f"its kernel does not answer: {visible(answer.err).strip()[-300:]}"
        yield Finding("lab", "missing", why, "make lab-clean lab")
        return
    yield Finding("lab", "ok", f"Linux {guest.facts.kernel}, {guest.facts.arch}, saved by QEMU {guest.facts.qemu}")
    if target.is_default:
        yield _packages(guest.disk)
    yield from _for_lessons(target, lessons, lacking)


def _accelerator(choice: Choice) -> Finding:
    text = f"{choice.name}: {choice.reason}"
    if choice.name == "kvm":
        return Finding("accelerator", "ok", text)
    return Finding("accelerator", "note", f"{text}; the lessons run, some ten to twenty times slower", _kvm_remedy())


def _kvm_remedy() -> str | None:
    """How this machine could come to use KVM, as far as that can be known."""
    if platform.machine() != own().name:
        return None
    if accelerator.DEVICE.exists():
        if os.access(accelerator.DEVICE, os.R_OK | os.W_OK):
            return "workbook doctor --kvm tries it again"
        return "sudo usermod -aG kvm $USER, log in again, workbook doctor --kvm"
    if "microsoft" in platform.release().lower():
        return "in WSL 2: nestedVirtualization=true below [wsl2] in .wslconfig, wsl --shutdown, workbook doctor --kvm"
    if any(mark.exists() for mark in CONTAINER):
        return "open the devcontainer with /dev/kvm (.devcontainer/kvm), if this machine has one"
    return "switch virtualization on in the firmware, or nested virtualization for a virtual machine"


def kvm(say: Callable[[str], None]) -> Iterator[Finding]:
    """Save, restore and use a guest in KVM: each part with its time, and the choice that follows; all of it can be
    pasted into a report."""
    target = targets.chosen()
    cpu = dict(line.split(":", 1) for line in accelerator.host_cpu().splitlines() if ":" in line)
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    model = cpu.get("model name") or cpu.get("CPU part") or platform.machine()
    nested = ", a virtual machine itself" if "hypervisor" in flags else ""
    yield Finding("machine", "ok", f"{platform.machine()}, {model}{nested}, Linux {platform.release()}")
    try:
        yield Finding("QEMU", "ok", qemu.find(target.arch).version)
        why = accelerator.hindrance() if target.arch == own() else f"KVM runs no {target.arch.name} on this machine"
        if why is not None:
            yield Finding("KVM", "missing", why, _kvm_remedy())
            return
        parts: list[Finding] = []
        with cache.locked("build"):
            image = disk.ensure(target, say)
            note = lambda part, seconds: parts.append(Finding(part, "ok", f"{seconds:.2f} s"))  # noqa: E731
            choice = saved.choose(target, image, say, note)
    except WorkbookError as error:
        yield Finding("KVM", "missing", str(error), error.remedy)
        return
    yield from parts
    yield _finding("KVM", choice.name == "kvm", choice.reason, choice.reason, "the lab uses TCG: nothing to do")


def _load() -> Finding:
    """More programs that compute than CPUs: a check waits for its turn."""
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    if load <= 2 * cpus:
        return Finding("load", "ok", f"{load:.1f} on {cpus} CPUs")
    return Finding("load", "note", f"{load:.1f} on {cpus} CPUs: checks take longer, and races hardly happen in the lab")


def _packages(image: Disk) -> Finding:
    """Whether the guest has the versions that the course was proven with."""
    here, proven = image.packages, packages.read(packages.PROVEN)
    if not (found := packages.differences(here, proven)):
        return Finding("packages", "ok", f"{len(here)}, as the course was proven with")
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return Finding("packages", "note", "; ".join(found[:SHOWN]) + more, "workbook lab status --packages lists them all")


def _for_lessons(target: Target, lessons: Sequence[Lesson], found: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each lesson can run; in a lab that is not the default one, a lesson that cannot is no fault."""
    for lesson in lessons:
        lacking = [found.get(name, f"{name}: no such feature is known") for name in [*ALWAYS_NEEDED, *lesson.needs]]
        why = "; ".join(filter(None, lacking))
        text = ", ".join(lesson.needs) or "nothing special"
        if why and not target.is_default:
            yield Finding(f"lesson {lesson.number}", "note", f"skipped on {target}: {why}")
        else:
            yield _finding(f"lesson {lesson.number}", not why, f"needs {text}: there", why, "make lab-clean lab")


def host_kernel() -> Finding:
    """Whether `--lab host` would work here; never needed."""
    try:
        lacking = host.needed(host.lacking())
    except WorkbookError as error:
        return Finding("--lab host", "note", str(error))
    if lacking:
        return Finding("--lab host", "note", "not on this machine: " + "; ".join(lacking))
    return Finding("--lab host", "ok", f"Linux {platform.release()} can run the lessons in place, as root")


def _finding(name: str, ok: bool, good: str, bad: str, remedy: str) -> Finding:
    return Finding(name, "ok", good) if ok else Finding(name, "missing", bad, remedy)
