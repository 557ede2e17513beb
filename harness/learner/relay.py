"""A command in a fresh guest, joined to this terminal: input, output, exit status, Ctrl-C, window size."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from harness.lab.guest import Guest
from harness.lab.host import HostLab
from harness.lab.virtual import VirtualLab
from harness.learner import artefacts
from harness.protocol.frames import Kind

READ_SIZE = 1 << 16


def run(
    lab: VirtualLab | HostLab,
    argv: list[str],
    cwd: Path,
    files: Mapping[Path, bytes],
    bring: Path | None = None,
) -> int:
    """Run `argv` in the guest to its end; its exit status as a shell would give it. Artefacts go into `bring`."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        with lab.open() as guest:
            guest.put(files)
            size = shutil.get_terminal_size()
            guest.spawn(
                "exec", cwd, argv=argv, tty=on_terminal, rows=size.lines, columns=size.columns,
                env=_environment(), folders=[artefacts.GUEST_FOLDER],
            )  # fmt: skip
            with _terminal(guest, on_terminal):
                status = _relay(guest)
            if bring is not None:
                for path in artefacts.fetch(guest, bring):
                    print(f"brought back: {path}", file=sys.stderr)
    finally:
        lab.close()
    return status if status >= 0 else 128 - status


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in ("NO_COLOR", "TERM") if name in os.environ}
    # Unbuffered: what a loader prints is seen when it is printed, in a pipe too.
    return {"TERM": "dumb", "PYTHONUNBUFFERED": "1", artefacts.VARIABLE: artefacts.GUEST_FOLDER} | passed_on


@contextlib.contextmanager
def _terminal(guest: Guest, on_terminal: bool) -> Iterator[None]:
    """In a terminal, keys go to the guest as they are; elsewhere an interrupt goes there as a signal."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        guest.channel.request("signal", number=int(signal.SIGINT))

    def resize(number: int, frame: FrameType | None) -> None:
        size = shutil.get_terminal_size()
        guest.channel.request("window", rows=size.lines, columns=size.columns)

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


def _relay(guest: Guest) -> int:
    channel = guest.channel
    sources = [channel.socket, sys.stdin]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if sys.stdin in ready:
            data = os.read(sys.stdin.fileno(), READ_SIZE)
            channel.send(Kind.STDIN, data)
            if not data:
                sources.remove(sys.stdin)
        if channel.socket not in ready:
            continue
        while (frame := channel.receive(0)) is not None:
            if frame.kind is Kind.CONTROL and frame.json().get("event") == "exit":
                return int(frame.json()["status"])
            stream = sys.stderr if frame.kind is Kind.STDERR else sys.stdout
            stream.buffer.write(frame.payload)
            stream.flush()
