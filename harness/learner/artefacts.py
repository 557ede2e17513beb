"""Files that a lesson made in the guest, brought back: plain names of known kinds, capped, nothing overwritten."""

from __future__ import annotations

import re
from pathlib import Path

from harness.course import files
from harness.course.catalog import Lesson
from harness.errors import GuestLost, UsageError
from harness.lab.channel import File
from harness.lab.guest import Guest
from harness.learner import progress
from harness.protocol.messages import Fetch, Fetched

GUEST_FOLDER = "/tmp/artefacts"
VARIABLE = "WORKBOOK_ARTEFACTS"
"""Tells a loader in the guest where to write what should come back."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
SUFFIXES = (".folded", ".json", ".svg", ".txt", ".csv", ".png")
"""What a lesson makes; none of it is run by make, pytest or a shell."""
SIZE_MAX = 32 << 20
"""Bytes of all files."""
FILES_MAX = 100
DEADLINE_S = 60


def home(lesson: Lesson) -> Path:
    """Where `workbook run` keeps what a lesson made, unless the user names another folder; the report looks there."""
    return progress.folder(lesson.root) / "artefacts" / lesson.slug


def check_target(folder: Path, root: Path) -> None:
    """UsageError where artefacts may not be written: no folder, or in the checkout elsewhere than below .workbook.

    There a guest's file could be taken for the course's.
    """
    resolved, checkout = folder.resolve(), root.resolve()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if resolved.is_relative_to(checkout) and not resolved.is_relative_to(checkout / progress.FOLDER):
        raise UsageError(f"{folder} is in the checkout; there artefacts go below {progress.FOLDER} only")


def fetch(guest: Guest, folder: Path) -> list[Path]:
    """Copy the guest's artefacts into `folder`; the paths written. A file of that name is kept as NAME.1, NAME.2, …"""
    guest.channel.start_counting()
    guest.channel.request(Fetch(path=GUEST_FOLDER, size_max=SIZE_MAX, files_max=FILES_MAX))
    found: dict[str, bytes] = {}
    for message in guest.channel.messages(guest.channel.deadline(DEADLINE_S)):
        if isinstance(message, Fetched):
            return [_written(folder, name, content) for name, content in found.items()]
        if isinstance(message, File):
            if message.name in found or len(found) == FILES_MAX:
                raise GuestLost("the lab sent more artefacts than it was asked for")
            found[message.name] = message.content
            if sum(map(len, found.values())) > SIZE_MAX:
                raise GuestLost(f"the artefacts are larger than {SIZE_MAX >> 20} MiB")
            if not NAME.fullmatch(message.name) or not message.name.endswith(SUFFIXES):
                found.pop(message.name)
    raise GuestLost(f"the artefacts did not arrive within {DEADLINE_S} s")


def _written(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    _keep(target)
    files.write(target, content)
    return target


def _keep(path: Path) -> None:
    """Rename what is at `path` out of the way."""
    if not files.exists(path):
        return
    number = 1
    while files.exists(kept := path.with_name(f"{path.name}.{number}")):
        number += 1
    path.rename(kept)
