"""Progress of long work: a spinner with seconds on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

LONG_S = 10.0
"""A check that takes longer says in a log what it is doing."""


@contextlib.contextmanager
def working(console: Console, what: str, every_s: float | None = None) -> Iterator[Callable[[str], None]]:
    """Yield `say(part)`, which shows the part of `what` that is being done, with the seconds so far; nothing stays.

    Where there is no terminal, a part is printed as a line when `every_s` seconds have passed since the last one.
    """
    bar = Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                   console=console, transient=True, disable=not console.is_terminal)  # fmt: skip
    task = bar.add_task(what)
    last = time.monotonic()

    def say(part: str) -> None:
        nonlocal last
        bar.update(task, description=f"{what}: {part}")
        if every_s is not None and not console.is_terminal and time.monotonic() - last >= every_s:
            console.print(Text(f"{what}: {part}"))  # no str: rich takes [brackets] in it for markup
            last = time.monotonic()

    with bar:
        yield say


@contextlib.contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Yield `say(stage)`, which begins a stage of the work; each finished one stays, with the seconds that it took."""
    bars = Progress(SpinnerColumn(), TextColumn("lab: {task.description}", markup=False), TimeElapsedColumn(),
                    console=console, transient=True, disable=not console.is_terminal)  # fmt: skip
    running: tuple[str, float] | None = None

    def end() -> None:
        if running is not None:
            console.print(Text(f"lab: {running[0]} ({time.monotonic() - running[1]:.0f} s)", style="dim"))

    def say(stage: str) -> None:
        nonlocal running
        if console.is_terminal:
            end()
            for task in bars.task_ids:
                bars.remove_task(task)
            bars.add_task(stage)
        else:
            console.print(Text(f"lab: {stage}"))
        running = stage, time.monotonic()

    with bars:
        yield say
    if console.is_terminal:
        end()
