"""Keys of a terminal, without Enter, or of a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator

STDIN = 0


class Keys:
    """What is typed; as a context, a terminal passes each key at once."""

    def __init__(self) -> None:
        self.source: int | None = STDIN if sys.stdin is not None else None
        """Where keys come from; None where no more will."""
        self.terminal = self.source is not None and os.isatty(STDIN)
        self.hung_up = False
        """The terminal is gone. A pipe that ends only has no more keys."""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Keys:
        if self.terminal:
            self._stack.enter_context(_at_once(STDIN))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self) -> str:
        """What was typed, once `source` is readable."""
        assert self.source is not None
        try:
            typed = os.read(self.source, 64)
        except OSError:  # the terminal hung up
            typed = b""
        if not typed:
            self.source, self.hung_up = None, self.terminal
        return typed.decode(errors="replace")


@contextlib.contextmanager
def _at_once(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        with contextlib.suppress(termios.error):  # it hung up
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
