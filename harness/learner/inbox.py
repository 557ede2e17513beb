"""Saves, keys and the asks of other threads, as one stream."""

from __future__ import annotations

import contextlib
import os
import select
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from harness.learner import saves
from harness.learner.asks import ENDS_WORK, LIGHT, QUIT, SAVE, Ask
from harness.learner.keys import Keys


class Inbox:
    """What the learner asks, in order; several waiting saves are one. Close it."""

    def __init__(self, keys: Keys | None = None, meaning: Mapping[str, Ask] | None = None) -> None:
        """`meaning` of each key; a key without one is passed over."""
        self._keys, self._meaning = keys, meaning or {}
        self._asked: deque[Ask] = deque()
        """From other threads: append and popleft are atomic (collections.deque)."""
        self._waiting: deque[Ask] = deque()
        self._wake, self._announce = os.pipe()
        os.set_blocking(self._announce, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._wake)
        os.close(self._announce)

    def ask(self, ask: Ask) -> None:
        """Add `ask`, from any thread."""
        self._asked.append(ask)
        with contextlib.suppress(BlockingIOError):  # the pipe is full: its reader wakes up anyway
            os.write(self._announce, b"!")

    @contextlib.contextmanager
    def saves_in(self, folder: Path) -> Iterator[None]:
        """Saves in `folder` are asks, to the end of the block; SetupError where they cannot be seen."""
        with saves.noticed(folder, lambda: self.ask(SAVE)):
            yield
        self.forget_saves()

    @property
    def sources(self) -> list[int]:
        """File descriptors of which one is readable when there is something new."""
        typed = self._keys.source if self._keys else None
        return [self._wake] + ([] if typed is None else [typed])

    def next(self) -> Ask:
        """The next ask, however long it takes."""
        while not self._waiting:
            self.take(None)
        return self._waiting.popleft()

    def light(self) -> Iterator[Ask]:
        """Take those that wait and need no lab, each once; the others stay in their order."""
        self.take(0)
        found = [ask for ask in self._waiting if ask.what in LIGHT]
        self._waiting = deque(ask for ask in self._waiting if ask.what not in LIGHT)
        yield from found

    @property
    def outdated(self) -> bool:
        """Whether something waits that makes the work at hand stale."""
        self.take(0)
        return any(ask.what in ENDS_WORK for ask in self._waiting)

    def forget_saves(self) -> None:
        """Drop the saves that wait: all files are read again now."""
        self.take(0)
        self._waiting = deque(ask for ask in self._waiting if ask != SAVE)

    def take(self, timeout_s: float | None) -> None:
        """Queue what has come; wait up to `timeout_s` for something, None: until something comes."""
        ready, _, _ = select.select(self.sources, [], [], timeout_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
            while self._asked:
                self._queue(self._asked.popleft())
        if self._keys and self._keys.source in ready:
            for key in self._keys.read():
                if (ask := self._meaning.get(key)) is not None:
                    self._queue(ask)
            if self._keys.hung_up:
                self._queue(QUIT)

    def _queue(self, ask: Ask) -> None:
        if ask != SAVE or SAVE not in self._waiting:
            self._waiting.append(ask)
