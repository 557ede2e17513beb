"""Saves in a folder and keys of a terminal or a pipe, as one stream of events."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import watchfiles

from harness.errors import SetupError

STDIN = 0
SAVE = "save"
QUIT = "q"
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


class Events:
    """What the learner does: SAVE, or the key that was pressed. Several waiting saves are one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[str] = deque()
        self._keys_from: int | None = None
        self._problem = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._saved, self._announce = os.pipe()
            stack.callback(os.close, self._saved)
            stack.callback(os.close, self._announce)
            self._keys_from = STDIN if sys.stdin is not None else None
            self.terminal = self._keys_from is not None and os.isatty(STDIN)
            if self.terminal:
                stack.enter_context(_keys_at_once(STDIN))
            stack.enter_context(self._watching())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Saves are noticed from here to the end of the block; SetupError where they cannot be."""
        stop = _Stop()
        thread = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        thread.start()
        try:
            if not stop.asked.wait(START_DEADLINE_S) or self._problem:
                raise SetupError(f"saves in {self._folder} cannot be seen: {self._problem}", remedy=POLLING)
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: _Stop) -> None:
        try:
            for _ in watchfiles.watch(
                self._folder,
                recursive=False,  # watchfiles would follow links out of the folder; a lesson has no folders inside
                debounce=LONGEST_MS,
                step=QUIET_MS,
                stop_event=stop,
                watch_filter=matters,
            ):
                os.write(self._announce, b"!")
        except OSError as error:  # such as the system's limit of watches
            self._problem = str(error)
            stop.asked.set()

    def next(self) -> str:
        """The next event, however long it takes. The end of a terminal is QUIT; that of a pipe means: no more keys."""
        while not self._waiting:
            self._take(None)
        return self._waiting.popleft()

    @property
    def outdated(self) -> bool:
        """Whether a save or QUIT waits, so that what is being checked now is stale."""
        self._take(0)
        return SAVE in self._waiting or QUIT in self._waiting

    def forget_saves(self) -> None:
        """Drop the saves that wait: all files are read again now."""
        self._take(0)
        self._waiting = deque(event for event in self._waiting if event != SAVE)

    def _take(self, timeout_s: float | None) -> None:
        """Queue what has come; wait up to `timeout_s` for something, None: until something comes."""
        sources = [self._saved] + ([] if self._keys_from is None else [self._keys_from])
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._saved in ready:
            os.read(self._saved, 4096)
            if SAVE not in self._waiting:
                self._waiting.append(SAVE)
        if self._keys_from in ready:
            self._take_keys()

    def _take_keys(self) -> None:
        assert self._keys_from is not None
        try:
            pressed = os.read(self._keys_from, 64)
        except OSError:  # the terminal hung up
            pressed = b""
        self._waiting.extend(pressed.decode(errors="replace"))
        if not pressed:
            self._keys_from = None
            if self.terminal:
                self._waiting.append(QUIT)


def matters(change: watchfiles.Change, path: str) -> bool:
    """Whether a change is one of a lesson's files, and not an editor's swap or backup file."""
    name = Path(path).name
    return not name.startswith((".", "#")) and name.endswith((".py", ".c", ".toml"))


@contextlib.contextmanager
def _keys_at_once(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it hung up
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
