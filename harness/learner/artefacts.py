"""Files that a lesson made in the guest, brought back: regular files with plain names, capped, nothing overwritten."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

from harness.course.catalog import Lesson
from harness.errors import GuestLost, UsageError
from harness.lab.guest import Guest
from harness.learner import progress
from harness.protocol.frames import Kind

GUEST_FOLDER = "/tmp/artefacts"
VARIABLE = "WORKBOOK_ARTEFACTS"
"""Tells a loader in the guest where to write what should come back."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
SIZE_MAX = 32 << 20
"""Bytes of the whole archive."""
DEADLINE_S = 60


def home(lesson: Lesson) -> Path:
    """Where `workbook run` keeps what a lesson made, unless the user names another folder; the report looks there."""
    return progress.folder(lesson.root) / "artefacts" / lesson.slug


def fetch(guest: Guest, folder: Path) -> list[Path]:
    """Copy the guest's artefacts into `folder`; the paths written. A file of that name is kept as NAME.1, NAME.2, …"""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    guest.channel.request("fetch", path=GUEST_FOLDER, size_max=SIZE_MAX)
    data = bytearray()
    while True:
        frame = guest.channel.receive(DEADLINE_S)
        if frame is None:
            raise GuestLost(f"the artefacts did not arrive within {DEADLINE_S} s")
        if frame.kind is Kind.TAR:
            if not frame.payload:
                break
            data += frame.payload
            if len(data) > SIZE_MAX:
                raise GuestLost(f"the artefacts are larger than {SIZE_MAX >> 20} MiB")
    return unpack(bytes(data), folder)


def unpack(data: bytes, folder: Path) -> list[Path]:
    """Write the regular, plainly named members of a tar archive into `folder`; everything else in it is passed over."""
    written = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                if not member.isreg() or not NAME.fullmatch(member.name):
                    continue
                source = archive.extractfile(member)
                assert source is not None
                folder.mkdir(parents=True, exist_ok=True)
                target = folder / member.name
                _keep(target)
                target.write_bytes(source.read())
                written.append(target)
    except tarfile.TarError as error:
        raise GuestLost(f"the artefacts cannot be read: {error}") from error
    return written


def _keep(path: Path) -> None:
    """Rename what is at `path` out of the way."""
    if not path.is_symlink() and not path.exists():
        return
    number = 1
    while (kept := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    path.rename(kept)
