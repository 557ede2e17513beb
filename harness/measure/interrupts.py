"""Ctrl-C at random moments, typed at a terminal: nothing may be left over, and the end must be quiet."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import re
import select
import signal
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.lab.image import cache

T = TypeVar("T")
MARK = "WORKBOOK_INTERRUPTED"
"""In the environment of a round's processes: one that still has it after the end is a leftover."""
END_DEADLINE_S = 60
"""From the Ctrl-C to the end, and of a command that is not interrupted in time."""
GONE_DEADLINE_S = 5
"""The kernel ends a guest with its owner, but not in the same instant."""
QUIET = {130, -signal.SIGINT}
CTRL_C = b"\x03"
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


@dataclass(frozen=True)
class Command:
    """What is interrupted; `ends` are its exit codes when the Ctrl-C came too late or was its own business."""

    argv: tuple[str, ...]
    ends: frozenset[int]
    up: bytes = b""
    """A traceback without this in it is not ours: the program was starting, and had not loaded what could catch it."""

    @property
    def name(self) -> str:
        return " ".join([Path(self.argv[0]).name, *self.argv[1:]])


@dataclass(frozen=True)
class Round:
    """One command and one Ctrl-C, `delay_s` after its start; `faults` is empty where all was well."""

    number: int
    command: str
    delay_s: float
    status: int
    faults: tuple[str, ...]
    screen: str


def commands(programs: Path) -> list[Command]:
    """What a learner types; `programs` is the folder of `workbook` and `pytest`."""
    workbook, check = str(programs / "workbook"), str(programs / "pytest")
    red = frozenset({1})
    return [
        Command(("make", "lesson-01"), frozenset({2})),
        Command((workbook, "verify", "01"), red),
        Command((workbook, "run", "--tree", "solutions", "01"), frozenset({0})),
        Command(
            (check, "-p", "no:cacheprovider", "lessons/01-hello-kprobe"),
            frozenset({1, 2}),
            up=b"pytest_cmdline_main(",  # behind the import of plug-ins (_pytest/config/__init__.py, pytest 9.0)
        ),
    ]


def interrupt(
    chosen: Sequence[Command], root: Path, times: int, longest_s: float, seed: int, say: Callable[[Round], None]
) -> list[Round]:
    """Interrupt the commands in turn, `times` in all, each at a moment between its start and `longest_s`."""
    rng, done = random.Random(seed), []
    for number in range(1, times + 1):
        done.append(_round(number, chosen[(number - 1) % len(chosen)], root, rng.uniform(0, longest_s)))
        say(done[-1])
    return done


def _round(number: int, command: Command, root: Path, delay_s: float) -> Round:
    mark = f"{os.getpid()}.{time.monotonic_ns()}"
    before = _files(root)
    with tempfile.TemporaryDirectory(prefix="workbook-interrupts-") as temporary:
        terminal, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        pid = _start(command, root, slave, {MARK: mark, "TMPDIR": temporary})
        status, screen = _watch(pid, terminal, delay_s)
        faults = [*_ending(command, status, screen), *(f"left running: {name}" for name in left_running(mark))]
        behind = _after_grace(lambda: sorted((_files(root) - before) | set(Path(temporary).rglob("*"))))
        faults += [f"left behind: {path}" for path in behind]
        if termios.tcgetattr(slave) != modes:
            faults.append("left the terminal in other modes")
        os.close(terminal)
        os.close(slave)
    return Round(number, command.name, delay_s, status, tuple(faults), screen.decode(errors="replace"))


def _start(command: Command, root: Path, slave: int, extra: dict[str, str]) -> int:
    """Start the command as the foreground of its own terminal."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.login_tty(slave)
        os.chdir(root)
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        os.execvpe(command.argv[0], command.argv, environment | {"TERM": "xterm"} | extra)
    finally:
        os._exit(127)


def _watch(pid: int, terminal: int, delay_s: float) -> tuple[int, bytes]:
    """Type Ctrl-C once after `delay_s`; the exit status (a signal as a negative number) and all that was printed."""
    screen, begin, typed = b"", time.monotonic(), False
    while True:
        passed = time.monotonic() - begin
        if not typed and passed >= delay_s:
            os.write(terminal, CTRL_C)
            typed = True
        if passed > delay_s + END_DEADLINE_S:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -signal.SIGKILL, screen
        pace = 0.05 if typed else min(0.05, max(0.0, delay_s - passed))
        if select.select([terminal], [], [], pace)[0]:
            screen += os.read(terminal, 1 << 16)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), screen


def _ending(command: Command, status: int, screen: bytes) -> Iterator[str]:
    if status == -signal.SIGKILL:
        yield f"did not end within {END_DEADLINE_S} s"
    elif status not in QUIET | command.ends:
        yield f"ended with {status}"
    plain = COLOUR.sub(b"", screen)  # Python 3.13 paints its tracebacks
    if b"Traceback (most recent call last)" in plain and command.up in plain:
        yield "printed a traceback"
    if screen.rfind(HIDE_CURSOR) > screen.rfind(SHOW_CURSOR):
        yield "left the cursor hidden"


def left_running(mark: str) -> list[str]:
    """Command lines of the processes that still have `mark` in their environment after a moment's grace."""
    return _after_grace(lambda: list(_marked(mark)))


def _after_grace(look: Callable[[], list[T]]) -> list[T]:
    """What is still there after a moment: the kernel's own tidying, and another command's file of an instant, go."""
    end = time.monotonic() + GONE_DEADLINE_S
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _marked(mark: str) -> Iterator[str]:
    wanted = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]


def _files(root: Path) -> set[Path]:
    """Where something half done would lie: names with a dot in front, as the cache and the progress make them.

    What another checkout is building in the same cache just now is not meant: it is waited for.
    """
    folders = [cache.root(), root / ".workbook", root / "lessons", root / "solutions"]
    with cache.locked("build"):
        return {path for folder in folders for path in folder.rglob(".*-*")}
