"""A command in a fresh guest, joined to this terminal: input, output, exit status, Ctrl-C, window size."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from harness.lab.channel import Deadline, Output
from harness.lab.guest import Guest, Lab
from harness.learner import artefacts, live
from harness.protocol.messages import Exited, Resize, Signal

READ_SIZE = 1 << 16
CTRL_C = b"\x03"
GIVE_UP_TIMES, GIVE_UP_S = 3, 2.0
"""That many Ctrl-C within that many seconds kill the guest: a program there can ignore the first ones."""


def run(
    lab: Lab,
    argv: list[str],
    cwd: Path,
    files: Mapping[Path, bytes],
    bring: Path | None = None,
) -> int:
    """Run `argv` in the guest to its end; its exit status as a shell would give it. Artefacts go into `bring`."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    size = shutil.get_terminal_size()
    env = {name: os.environ[name] for name in ("NO_COLOR", "TERM") if name in os.environ}
    what = live.spawn(argv, cwd, tty=on_terminal, rows=size.lines, columns=size.columns, env=env)
    try:
        with live.started(lab, what, files) as guest:
            patience = Patience()
            with _terminal(guest, on_terminal, patience):
                status = _relay(guest, patience)
            if bring is not None:
                for path in artefacts.fetch(guest, bring):
                    print(f"brought back: {path}", file=sys.stderr)
    finally:
        lab.close()
    return status if status >= 0 else 128 - status


class Patience:
    """Counts Ctrl-C; KeyboardInterrupt when there were many in a short time."""

    def __init__(self) -> None:
        self._pressed: list[float] = []

    def press(self, times: int = 1) -> None:
        """Ctrl-C was typed that many times just now."""
        now = time.monotonic()
        self._pressed = [one for one in self._pressed if now - one < GIVE_UP_S] + [now] * times
        if len(self._pressed) >= GIVE_UP_TIMES:
            raise KeyboardInterrupt


@contextlib.contextmanager
def _terminal(guest: Guest, on_terminal: bool, patience: Patience) -> Iterator[None]:
    """In a terminal, keys go to the guest as they are; elsewhere an interrupt goes there as a signal."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        patience.press()
        guest.channel.request(Signal(number=int(signal.SIGINT)))

    def resize(number: int, frame: FrameType | None) -> None:
        size = shutil.get_terminal_size()
        guest.channel.request(Resize(rows=size.lines, columns=size.columns))

    before: list[Any] = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGWINCH)]
    saved = termios.tcgetattr(0) if on_terminal else None
    try:
        signal.signal(signal.SIGINT, interrupt)
        if on_terminal:
            signal.signal(signal.SIGWINCH, resize)
            tty.setraw(0)
        yield
    finally:
        if saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        for number, handler in before:
            signal.signal(number, handler)


def _relay(guest: Guest, patience: Patience) -> int:
    """Pass on what is typed and what is printed, as it is, until the command ends: its exit status."""
    channel, stdin = guest.channel, sys.stdin.fileno()

    def typed() -> None:
        data = os.read(stdin, READ_SIZE)
        patience.press(data.count(CTRL_C) if os.isatty(stdin) else 0)
        channel.enter(data)
        if not data:
            channel.no_longer(stdin)

    channel.also(stdin, typed)
    for message in channel.messages(Deadline(None), endless=True):
        if isinstance(message, Exited):
            return message.status
        if isinstance(message, Output):
            stream = sys.stderr if message.stream == "stderr" else sys.stdout
            stream.buffer.write(message.data)
            stream.flush()
    raise AssertionError("a deadline that is never reached was")
