"""Saves in a lesson's folder, whatever editor makes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import watchfiles

from harness.errors import SetupError

QUIET_MS = 40
"""Editors save in several steps (write, rename); a save is over when nothing has changed for that long."""
LONGEST_MS = 400
"""What keeps changing counts as a save after this time."""
START_DEADLINE_S = 20
POLLING = "WATCHFILES_FORCE_POLLING=1 workbook watch"


class _Stop(threading.Event):
    """Ends watchfiles' loop, which asks for it again and again: the first time shows that the folder is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def is_set(self) -> bool:
        self.asked.set()
        return super().is_set()


@contextlib.contextmanager
def noticed(folder: Path, saved: Callable[[], None]) -> Iterator[None]:
    """Call `saved` in another thread after each save in `folder`, to the end of the block; SetupError where saves
    cannot be seen."""
    stop, problem = _Stop(), ""

    def watch() -> None:
        nonlocal problem
        try:
            for _ in watchfiles.watch(
                folder,
                recursive=False,  # watchfiles would follow links out of the folder; a lesson has no folders inside
                debounce=LONGEST_MS,
                step=QUIET_MS,
                stop_event=stop,
                watch_filter=matters,
            ):
                saved()
        except OSError as error:  # such as the system's limit of watches
            problem = str(error)
            stop.asked.set()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        if not stop.asked.wait(START_DEADLINE_S) or problem:
            raise SetupError(f"saves in {folder} cannot be seen: {problem}", remedy=POLLING)
        yield
    finally:
        stop.set()
        thread.join()


def matters(change: watchfiles.Change, path: str) -> bool:
    """Whether a change is one of a lesson's files, and not an editor's swap or backup file."""
    name = Path(path).name
    return not name.startswith((".", "#")) and name.endswith((".py", ".c", ".toml"))
