"""The read-only disk image, with the kernel, the module and the shell that boot it beside it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError, SetupError
from harness.lab.image import cache, packages, recipe
from harness.lab.image.architecture import Architecture
from harness.lab.image.recipe import Recipe, mke2fs_argv, mmdebstrap_argv
from harness.lab.image.target import Target

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
GONE_DEADLINE_S = 5
TOGETHER = 'trap "kill -KILL 0" TERM; "$@" & wait $!'
"""A shell's script: run the arguments; when we die, which setpriv tells it, end them and all that they started."""


@dataclass(frozen=True)
class Disk:
    """A finished image in the cache."""

    directory: Path
    arch: Architecture

    @property
    def image(self) -> Path:
        return self.directory / "disk.ext4"

    def identity(self) -> str:
        """Differs for each build of the same recipe: a saved guest has parts of its disk in memory."""
        return f"{self.directory.name} {self.image.stat().st_mtime_ns}"

    @property
    def packages(self) -> dict[str, str]:
        """Package → version, of all that is in it."""
        return packages.read(self.directory / packages.LIST)

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


def of(target: Target) -> Disk:
    """The image of that guest, built or not."""
    return Disk(cache.root() / f"disk-{recipe.of(target).digest()}", target.arch)


def ensure(target: Target, say: Callable[[str], None]) -> Disk:
    """The image of that guest, built if it is missing; SetupError or LabError if that fails."""
    disk = of(target)
    if not cache.intact(disk.directory):
        with cache.building(disk.directory) as work:
            _build(recipe.of(target), work, say)
    return disk


def _build(made: Recipe, work: Path, say: Callable[[str], None]) -> None:
    tree = work / "tree"
    kernel_from = "" if made.kernel_suite == made.suite else f", the kernel from {made.kernel_suite}"
    say(f"unpacking Debian {made.suite} for {made.arch} (kernel, headers, BCC{kernel_from})")
    temporary = work / "tmp"
    temporary.mkdir()
    _run(mmdebstrap_argv(made, str(tree)), more={"TMPDIR": str(temporary)})
    shutil.rmtree(temporary)
    _note_packages(tree / "var/cache/apt/archives", work / packages.LIST)
    release = _release(tree, made)
    kernels = [tree / f"boot/vmlinuz-{release}", tree / f"usr/lib/modules/{release}/vmlinuz"]  # the second since 7.3
    shutil.copy(next((one for one in kernels if one.exists()), kernels[0]), work / "vmlinuz")
    shutil.copy(tree / "usr/bin/busybox", work / "busybox")
    for link, goal in made.links:
        (tree / link).symlink_to(goal)
    shutil.rmtree(tree / "boot")
    _run(["depmod", "-b", str(tree / "usr"), release])
    (work / "modules").mkdir()
    for number, module in enumerate(needed(made.modules, tree / "usr/lib/modules" / release)):
        _unpack_module(module, work / "modules", number)
    say("making the disk image")
    _run(mke2fs_argv(made, str(tree), str(work / "disk.ext4")))
    shutil.rmtree(tree)


def _note_packages(archives: Path, target: Path) -> None:
    """Write down what was unpacked, and remove the packages' files."""
    debs = list(archives.glob("*.deb"))
    if not debs:
        raise LabError("mmdebstrap left no list of what it unpacked", remedy="make doctor")
    target.write_text(packages.text(packages.of_debs(deb.name for deb in debs)))
    for deb in debs:
        deb.unlink()


def _release(tree: Path, made: Recipe) -> str:
    """The release of the one kernel in `tree`; LabError where there is another one than was asked for."""
    found = sorted(path.name for path in (tree / "usr/lib/modules").iterdir())
    if len(found) != 1 or not found[0].startswith(made.release):
        raise LabError(f"{made.kernel_suite} gave the kernel {' and '.join(found)}, expected one {made.release}*")
    return found[0]


def needed(names: Sequence[str], modules: Path) -> list[Path]:
    """The modules of those names and what they need, in the order to load them; what is built in is left out.

    `modules` is the folder that depmod(8) wrote modules.dep in. LabError where the kernel does not have one at all.
    """
    lines = (line.partition(":") for line in (modules / "modules.dep").read_text().splitlines())
    depends = {_name(path): (path, rest.split()) for path, _, rest in lines}
    built_in = {_name(path) for path in (modules / "modules.builtin").read_text().split()}
    found: dict[str, None] = {}
    for name in names:
        if name in depends:
            path, others = depends[name]
            found |= dict.fromkeys([*reversed(others), path])
        elif name not in built_in:
            raise LabError(f"the kernel {modules.name} has no {name}")
    return [modules / path for path in found]


def _name(path: str) -> str:
    """The module's name, as in modprobe(8)."""
    return re.sub(r"\.ko(\..z|\.zst)?$", "", Path(path).name).replace("-", "_")


def _unpack_module(module: Path, target: Path, number: int) -> None:
    """Copy a module, uncompressed: the guest's first shell knows no xz."""
    name = f"{number:02}-{module.name.removesuffix('.xz')}"
    if module.suffix == ".ko":
        shutil.copy(module, target / name)
    else:
        with (target / name).open("wb") as out:
            _run(["xz", "-dc", str(module)], stdout=out)


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
