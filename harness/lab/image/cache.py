"""Where built things live: directories that appear whole or not at all, one builder at a time.

A guest's kernel and memory come from here. So a place that another user owns or may write to is refused, a group's too
(umask 002): which groups hold one user alone cannot be known. What is made here is closed to others under any umask.

Each directory carries a seal: size, times and SHA-256 of each file. A start compares sizes and times, and reads the
small files (kernel, initrd, facts); to read all 1.4 GB would cost it seconds. Only the kernel sets a ctime, so a
changed byte shows there: then the file is read, and accepted if its SHA-256 is the same (after a copy or a chmod), with
its new times in the seal. `workbook doctor` reads all files, and so finds what a failing disk changes without a write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock
import platformdirs

from harness.errors import SetupError

SEAL = "sealed.json"
"""In each built directory: what its files were when it was built."""
SMALL = 16 << 20
"""Bytes; a file up to that size is read at each start."""
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
IDLE_S = 86400
"""Another checkout, or another version of this one, may use the same cache."""


@dataclass(frozen=True)
class Sealed:
    """A file as it was when its directory was built, or last found unchanged."""

    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str


def root() -> Path:
    """The workbook's directory under XDG_CACHE_HOME."""
    return Path(platformdirs.user_cache_dir("ebpf-workbook"))


def home() -> Path:
    """The same, made if there is none; SetupError where another user could change what is in it."""
    root().mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_others(root())
    return root()


def is_ours(path: Path) -> bool:
    """Whether we own `path` and no other user may write to it; not where it does not exist."""
    with contextlib.suppress(OSError):
        found = path.stat()
        mine = {path.lstat().st_uid, found.st_uid} == {os.geteuid()}  # of a link both
        return mine and not found.st_mode & OTHERS_MAY_WRITE
    return False


def _refuse_others(path: Path) -> None:
    if is_ours(path):
        return
    if {path.lstat().st_uid, path.stat().st_uid} != {os.geteuid()}:
        raise SetupError(f"{path} belongs to another user, who could change the lab", remedy="export XDG_CACHE_HOME=…")
    raise SetupError(
        f"other users may write to {path}, and so change the lab",
        remedy=f"chmod -R go-w {shlex.quote(str(root()))}, then make lab-clean lab",
    )


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name`; a second command waits here while the first one builds."""
    with filelock.FileLock(home() / f"{name}.lock"):
        yield


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A temporary directory that becomes `target` if the block succeeds, and vanishes if not."""
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=home()))
    try:
        yield work
        _close(work)
        _seal(work, {name: _sealed(work / name) for name in _files(work)})
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def intact(path: Path) -> bool:
    """Whether `path` was built, and none of its files was changed since.

    SetupError where another user could have changed it.
    """
    if root().exists():
        _refuse_others(root())
    seal = _read_seal(path)
    if seal is None or _odd(path, seal):
        return False
    now = {name: _with_times(path / name, entry) for name, entry in seal.items()}
    read = [name for name in seal if now[name] != seal[name] or seal[name].size <= SMALL]
    if any(_sha256(path / name) != seal[name].sha256 for name in read):
        return False
    if now != seal:
        with contextlib.suppress(OSError):  # a full disk costs the next start these seconds again
            _seal(path, now)
    return True


def damaged(path: Path) -> list[str]:
    """Names of the files in `path` that do not hold what was built; all are read, so it takes seconds."""
    seal = _read_seal(path)
    if seal is None:
        return [SEAL]
    return _odd(path, seal) or [name for name, entry in seal.items() if _sha256(path / name) != entry.sha256]


def _odd(path: Path, seal: dict[str, Sealed]) -> list[str]:
    """Names of the files that are missing, added, not ordinary or of another size."""
    found = _files(path)
    return sorted(
        name
        for name in found.keys() | seal.keys()
        if name not in found
        or name not in seal
        or not stat.S_ISREG(found[name].st_mode)
        or found[name].st_size != seal[name].size
    )


def _read_seal(path: Path) -> dict[str, Sealed] | None:
    """What `path` was sealed with; None where it was not built. SetupError where another user could have changed it."""
    if not (path / SEAL).is_file():
        return None
    for one in (path, *path.rglob("*")):
        if one == path or not one.is_symlink():  # a link in it is odd anyway
            _refuse_others(one)
    try:
        return {name: Sealed(**entry) for name, entry in json.loads((path / SEAL).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _seal(path: Path, seal: dict[str, Sealed]) -> None:
    """Write the seal, at once."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({name: asdict(entry) for name, entry in seal.items()}, file)
        os.replace(name, path / SEAL)
    except BaseException:
        os.unlink(name)
        raise


def _close(path: Path) -> None:
    """Take from others what a umask gave them."""
    for one in path.rglob("*"):
        one.chmod(one.stat().st_mode & ~OTHERS_MAY_WRITE)


def _sealed(file: Path) -> Sealed:
    return _with_times(file, Sealed(file.stat().st_size, 0, 0, _sha256(file)))


def _with_times(file: Path, entry: Sealed) -> Sealed:
    found = file.stat()
    return replace(entry, mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> dict[str, os.stat_result]:
    """Name below `path` → what it is, of all that is no directory; without the seal."""
    found = {str(file.relative_to(path)): file.lstat() for file in sorted(path.rglob("*"))}
    return {name: entry for name, entry in found.items() if not stat.S_ISDIR(entry.st_mode) and name != SEAL}


def entries() -> list[Path]:
    """All built directories."""
    return sorted(path for path in root().glob("*-*") if path.is_dir() and not path.name.startswith("."))


def size_bytes(path: Path) -> int:
    """Bytes on disk below `path`; holes in sparse files do not count."""
    return sum(file.lstat().st_blocks * 512 for file in path.rglob("*"))


def touch(path: Path) -> None:
    """Note that `path` is in use."""
    os.utime(path)


def sweep(keep: set[Path]) -> None:
    """Remove built directories that no command used for a day, and what a killed build left behind.

    Call it under the build lock only: then nothing that has a temporary name is being built.
    """
    idle = time.time() - IDLE_S
    for path in entries():
        if path not in keep and path.stat().st_mtime < idle:
            shutil.rmtree(path, ignore_errors=True)
    _clear_unfinished()


def clear() -> None:
    """Remove all built directories."""
    for path in entries():
        shutil.rmtree(path, ignore_errors=True)
    _clear_unfinished()


def _clear_unfinished() -> None:
    for path in root().glob(".*-*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
