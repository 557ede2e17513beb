"""Where built things live: directories that appear whole or not at all, one builder at a time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import platformdirs

SEAL = "sealed.json"
"""In each built directory: the size in bytes of each of its files."""
IDLE_S = 86400
"""Another checkout, or another version of this one, may use the same cache."""


def root() -> Path:
    """The workbook's directory under XDG_CACHE_HOME."""
    return Path(platformdirs.user_cache_dir("ebpf-workbook"))


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name`; a second command waits here while the first one builds."""
    root().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root() / f"{name}.lock"):
        yield


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A temporary directory that becomes `target` if the block succeeds, and vanishes if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield work
        (work / SEAL).write_text(json.dumps(_sizes(work)))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def intact(path: Path) -> bool:
    """Whether `path` was built, and none of its files was removed or cut short since."""
    try:
        sealed = json.loads((path / SEAL).read_text())
    except (OSError, ValueError):
        return False
    return bool(sealed == _sizes(path))


def _sizes(path: Path) -> dict[str, int]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != SEAL]
    return {str(file.relative_to(path)): file.stat().st_size for file in files}


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
    """Remove built directories that nobody used for a day, and what a killed build left behind.

    Call it under the build lock only: then nothing that has a temporary name is being built.
    """
    idle = time.time() - IDLE_S
    for path in entries():
        if path not in keep and path.stat().st_mtime < idle:
            shutil.rmtree(path, ignore_errors=True)
    for path in root().glob(".*-*"):
        shutil.rmtree(path, ignore_errors=True)


def clear() -> None:
    """Remove all built directories."""
    for path in [*entries(), *root().glob(".*-*")]:
        shutil.rmtree(path, ignore_errors=True)
