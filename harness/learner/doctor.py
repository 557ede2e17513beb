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
from harness.lab.choose import available_mib
from harness.lab.image import cache, disk
from harness.lab.image import target as targets
from harness.lab.image.architecture import own
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
        yield Finding("accelerator", "ok", f"{choice.name}: {choice.reason}")
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
    yield from _for_lessons(target, lessons, lacking)


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
