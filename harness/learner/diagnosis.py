"""`workbook explain`: logs are read here, programs and scripts run in one guest; each file gets its explanation."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import GuestLost, UsageError
from harness.explain.evidence import Evidence, of_data, of_log
from harness.explain.explanation import Explanation, explain
from harness.lab.guest import Guest, Lab
from harness.protocol.frames import Kind
from harness.run import payload

FILE_DEADLINE_S = 300
"""Seconds that one program may take before the guest is given up, beside the seconds it runs."""
LINES_MAX = 32 << 20
CRASHED = (
    "Run it alone. If that ends the lab again, the program takes the guest's kernel or all of its memory with it;"
    " what the kernel said last is below."
)


def is_program(name: str) -> bool:
    """Whether `name` is a file to be run in the lab, not a log."""
    return name.endswith((".py", ".c"))


def all_of(
    names: list[str], open_lab: Callable[[], Lab], seconds: float, arguments: Sequence[str] = ()
) -> Iterator[tuple[str, Explanation]]:
    """Each name with its explanation, in order; UsageError for a file that is not there, LabError if the lab cannot.

    A script runs for `seconds`, with `arguments`.
    """
    for name in names:
        if name != "-" and not Path(name).is_file():
            raise UsageError(f"{name}: no such file", remedy="workbook explain --help")
    programs = [Path(name).absolute() for name in names if is_program(name)]
    with contextlib.ExitStack() as stack:
        gathered: Iterator[dict[str, Any] | GuestLost] = iter(())
        if programs:
            gathered = stack.enter_context(contextlib.closing(gather(open_lab(), programs, seconds, arguments)))
        for name in names:
            yield name, _of_program(name, next(gathered)) if is_program(name) else explain(_of_log(name))


def _of_program(name: str, data: dict[str, Any] | GuestLost) -> Explanation:
    if isinstance(data, GuestLost):
        cause = f"The lab was lost while this program ran ({data})."
        return Explanation(
            "lab", path=Path(name), cause=cause, advice=CRASHED, page="docs/troubleshooting.md", log=data.console
        )
    return explain(of_data(data, {path: path.read_text(errors="replace") for path in _near(Path(name).absolute())}))


def _of_log(name: str) -> Evidence:
    if name == "-":
        return of_log(sys.stdin.read())
    return of_log(Path(name).read_text(errors="replace"), Path(name))


def _near(path: Path) -> list[Path]:
    return [path, *sorted(path.parent.glob("*.c")), *sorted(path.parent.glob("*.h"))]


def gather(
    lab: Lab, programs: list[Path], seconds: float, arguments: Sequence[str] = ()
) -> Generator[dict[str, Any] | GuestLost, None, None]:
    """Evidence of each program, run one after the other in one guest.

    For a program with which the guest dies or goes silent that loss; the next ones go on in a fresh guest.
    """
    left = programs
    while left:
        running = False
        try:
            with lab.open() as guest:
                running = True
                for data in _run(guest, left, seconds, arguments):
                    yield data
                    left = left[1:]
        except GuestLost as lost:
            if not running:
                raise
            yield lost
            left = left[1:]


def _run(guest: Guest, programs: list[Path], seconds: float, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    guest.put({path: path.read_bytes() for program in programs for path in _near(program) if _fits(path)})
    argv = ["python3", "-m", "harness.guest.observing.gather", str(seconds), json.dumps(arguments), *map(str, programs)]
    guest.spawn("exec", programs[0].parent, argv=argv, folders=sorted({str(path.parent) for path in programs}))
    buffer, told, count = b"", b"", 0
    end = time.monotonic() + FILE_DEADLINE_S + seconds
    while count < len(programs):
        frame = guest.channel.receive(max(0.0, end - time.monotonic()))
        if frame is None:
            raise GuestLost("the program did not end in the lab")
        if frame.kind is Kind.CONTROL and frame.json().get("event") == "exit":
            raise GuestLost("what watches it ended", console=told.decode(errors="replace"))
        if frame.kind is Kind.STDERR:
            told = (told + frame.payload)[-4000:]
        elif frame.kind is Kind.STDOUT:
            buffer += frame.payload
            if len(buffer) > LINES_MAX:
                raise GuestLost("the lab sent more than can be read")
            while (stop := buffer.find(b"\n")) >= 0:
                row, buffer = buffer[:stop], buffer[stop + 1 :]
                end = time.monotonic() + FILE_DEADLINE_S + seconds
                count += 1
                yield json.loads(row)


def _fits(path: Path) -> bool:
    return path.stat().st_size <= payload.FILE_MAX
