"""Files whose content is not ours: read bounded, only where they are ordinary; written whole or not at all.

A name in a lesson's folder can be a link to another file, a FIFO that blocks its reader, a device without an end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import tomllib
from collections.abc import Set
from pathlib import Path
from typing import Any

from harness.errors import UsageError

FILE_MAX = 8 << 20
"""Bytes; no lesson's file comes near."""
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
PIECE = 1 << 20


def exists(path: Path) -> bool:
    """Whether there is anything of that name, be it a link to nowhere."""
    return os.path.lexists(path)


def read(path: Path, size_max: int = FILE_MAX) -> bytes:
    """The content of an ordinary file; UsageError names a path that is not one, is missing or is larger."""
    try:
        _refuse_odd(path, os.lstat(path))  # before it is opened: to open a device can do something
        handle = os.open(path, OPEN)
        try:
            _refuse_odd(path, os.fstat(handle))  # it can have been replaced since
            content = _at_most(handle, size_max + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise UsageError(f"{path} {_reason(error)}") from error
    except ValueError as error:  # a NUL or half a surrogate pair
        raise UsageError(f"{str(path)!r} is not a file name") from error
    if len(content) > size_max:
        raise UsageError(f"{path} is larger than {_size(size_max)}")
    return content


def _refuse_odd(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is {KINDS.get(stat.S_IFMT(found.st_mode), 'special')}, not an ordinary file")


def _at_most(handle: int, size: int) -> bytes:
    """What is there, at most `size` bytes of it."""
    content = bytearray()
    while piece := os.read(handle, min(PIECE, size - len(content))):
        content += piece
    return bytes(content)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "does not exist"
    if error.errno == errno.ELOOP:  # it became a link after lstat
        return "is a link, not an ordinary file"
    return f"cannot be read: {error.strerror or error}"


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count} bytes"


def read_text(path: Path, size_max: int = FILE_MAX) -> str:
    """The same as text; bytes that are not valid UTF-8 are replaced."""
    return read(path, size_max).decode(errors="replace")


def load_toml(path: Path, known: Set[str]) -> dict[str, Any]:
    """The tables of a TOML file with no keys but `known`; UsageError names the file and what is wrong with it."""
    try:
        data = tomllib.loads(read(path).decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not valid UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    check_keys(str(path), data, known)
    return data


def check_keys(place: str, table: dict[str, Any], known: Set[str]) -> None:
    """UsageError for a key that is not `known` of the table at `place`."""
    for key in table:
        if key not in known:
            raise UsageError(f"{place}: unknown key {key!r} (known: {', '.join(sorted(known))})")


def write(path: Path, data: bytes) -> None:
    """Replace `path`: after a crash at any moment it holds all of the old bytes or all of the new ones.

    OSError where that fails. A link is replaced, not followed.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    """The permissions that the file has now, or those of a new one."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_mode & 0o777
    return 0o644
