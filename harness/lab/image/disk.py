"""The read-only disk image, with the kernel, the module and the shell that boot it beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError, SetupError
from harness.lab.image import cache
from harness.lab.image.recipe import Recipe, mke2fs_argv, mmdebstrap_argv

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
GONE_DEADLINE_S = 5
TOGETHER = 'trap "kill -KILL 0" TERM; "$@" & wait $!'
"""A shell's script: run the arguments; when we die, which setpriv tells it, end them and all that they started."""


@dataclass(frozen=True)
class Disk:
    """A finished image in the cache."""

    directory: Path

    @property
    def image(self) -> Path:
        return self.directory / "disk.ext4"

    def identity(self) -> str:
        """Differs for each build of the same recipe: a saved guest has parts of its disk in memory."""
        return f"{self.directory.name} {self.image.stat().st_mtime_ns}"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def busybox(self) -> Path:
        return self.directory / "busybox"

    @property
    def modules(self) -> list[Path]:
        """Kernel modules to load before the disk can be read, in order."""
        return sorted((self.directory / "modules").iterdir())


def path_of(recipe: Recipe) -> Path:
    """Where the image of `recipe` is or will be."""
    return cache.root() / f"disk-{recipe.digest()}"


def ensure(recipe: Recipe, say: Callable[[str], None]) -> Disk:
    """The image of `recipe`, built if it is missing; SetupError or LabError if that fails."""
    target = path_of(recipe)
    if not cache.intact(target):
        with cache.building(target) as work:
            _build(recipe, work, say)
    return Disk(target)


def _build(recipe: Recipe, work: Path, say: Callable[[str], None]) -> None:
    tree = work / "tree"
    say(f"unpacking Debian {recipe.suite} (kernel, headers, BCC)")
    temporary = work / "tmp"
    temporary.mkdir()
    _run(mmdebstrap_argv(recipe, str(tree)), more={"TMPDIR": str(temporary)})
    shutil.rmtree(temporary)
    (kernel,) = tree.glob("boot/vmlinuz-*")
    release = kernel.name.removeprefix("vmlinuz-")
    shutil.copy(kernel, work / "vmlinuz")
    shutil.copy(tree / "usr/bin/busybox", work / "busybox")
    (work / "modules").mkdir()
    for number, module in enumerate(recipe.modules):
        _unpack_module(tree / "usr/lib/modules" / release / "kernel" / module, work / "modules", number)
    for link, goal in recipe.links:
        (tree / link).symlink_to(goal)
    shutil.rmtree(tree / "boot")
    _run(["depmod", "-b", str(tree / "usr"), release])
    say("making the disk image")
    _run(mke2fs_argv(recipe, str(tree), str(work / "disk.ext4")))
    shutil.rmtree(tree)


def _unpack_module(module: Path, target: Path, number: int) -> None:
    """Copy a module, uncompressed: the guest's first shell knows no xz."""
    name = f"{number}-{module.name}"
    if module.exists():
        shutil.copy(module, target / name)
    else:
        with (target / name).open("wb") as out:
            _run(["xz", "-dc", f"{module}.xz"], stdout=out)


def _run(argv: list[str], stdout: object = None, more: dict[str, str] | None = None) -> None:
    environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:{SBIN}"}
    program = shutil.which(argv[0], path=environment["PATH"])
    if program is None:
        raise SetupError(f"{argv[0]} is not installed", remedy="make setup")
    # A separate session: a Ctrl-C ends it through us, as a whole, and not one process at a time.
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "sh", "-c", TOGETHER, "sh", program, *argv[1:]],
        env=environment | (more or {}),
        stdin=subprocess.DEVNULL,
        stdout=stdout or subprocess.PIPE,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, complaint = process.communicate()
    except BaseException:
        _end_session(process)
        raise
    if process.returncode != 0:
        tail = "\n".join(complaint.decode(errors="replace").splitlines()[-8:])
        raise LabError(f"{argv[0]} failed with status {process.returncode}:\n{tail}", remedy="make doctor")


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started, and wait until they are gone: what they write is about to be removed."""
    end = time.monotonic() + GONE_DEADLINE_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while time.monotonic() < end:
            os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
