"""`workbook explain`: logs are read here, programs and scripts run in one guest; each file gets its explanation."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from harness.course import files
from harness.errors import GuestLost, HarnessFault, UsageError
from harness.explain.evidence import Evidence, of_gathered, of_log
from harness.explain.explanation import Explanation
from harness.lab.channel import Output
from harness.lab.guest import Guest, Lab
from harness.protocol.facts import Gathered
from harness.protocol.frames import WireError
from harness.protocol.messages import Exited, InternalError, Spawn, read_gathered
from harness.protocol.visible import visible
from harness.run.reasons import explained

FILE_DEADLINE_S = 300
"""Seconds that one program may take before the guest is given up, beside the seconds it runs."""
LINE_MAX = 32 << 20
"""Bytes that the lab may send for one program."""
LOG_MAX = 1 << 20
"""Bytes of a log that are read, half from each end."""
CRASHED = (
    "Run it alone. If that ends the lab again, the program takes the guest's kernel or all of its memory with it;"
    " what the kernel said last is below."
)


def is_program(name: str) -> bool:
    """Whether `name` is a file to be run in the lab, not a log."""
    return name.endswith((".py", ".c"))


def all_of(
    names: list[str], open_lab: Callable[[], Lab], seconds: float, arguments: Sequence[str] = (), trying: bool = False
) -> Iterator[tuple[str, Explanation]]:
    """Each name with its explanation, in order; UsageError for a file that is not there, LabError if the lab cannot.

    A script runs for `seconds`, with `arguments`. With `trying` the changes that are advised are tried, in one more
    guest for all of them; then no explanation comes before the last one is known.
    """
    for name in names:
        if name != "-" and not Path(name).is_file():
            what = "a folder; name a file in it" if Path(name).is_dir() else "no such file"
            raise UsageError(f"{name}: {what}", remedy="workbook explain --help")
    programs = [Path(name).absolute() for name in names if is_program(name)]
    sent = around(programs)
    texts = decoded(sent)
    with contextlib.ExitStack() as stack:
        gathered: Iterator[Gathered | GuestLost] = iter(())
        if programs:
            gathered = stack.enter_context(contextlib.closing(gather(open_lab(), programs, sent, seconds, arguments)))
        found = (
            (name, _of_program(name, next(gathered), texts) if is_program(name) else explained(_of_log(name)))
            for name in names
        )
        yield from _tried([*found], sent, open_lab, seconds, arguments) if trying else found


def _tried(
    found: list[tuple[str, Explanation]],
    sent: Mapping[Path, bytes],
    open_lab: Callable[[], Lab],
    seconds: float,
    arguments: Sequence[str],
) -> Iterator[tuple[str, Explanation]]:
    from harness.learner import trying

    names = [name for name, _ in found]
    paths = [Path(name).absolute() if is_program(name) else None for name in names]
    tried = trying.tried(
        [one for _, one in found],
        paths,
        sent,
        lambda programs, copies: [*gather(open_lab(), programs, copies, seconds, arguments)],
        lambda after, copies: explained(of_gathered(after, decoded(copies))),
    )
    return zip(names, tried, strict=True)


def _of_program(name: str, found: Gathered | GuestLost, texts: Mapping[Path, str]) -> Explanation:
    if isinstance(found, GuestLost):
        cause = f"The lab was lost while this program ran ({found})."
        return Explanation(
            "lab", path=Path(name), cause=cause, advice=CRASHED, page="docs/troubleshooting.md", log=found.console
        )
    return explained(of_gathered(found, texts))


def _of_log(name: str) -> Evidence:
    if name == "-":
        return of_log(_read(sys.stdin.buffer))
    with Path(name).open("rb") as log:
        return of_log(_read(log), Path(name))


def _read(log: BinaryIO) -> str:
    """A log, harmless to print; of a long one both ends, read piece by piece."""
    head = log.read(LOG_MAX // 2)
    tail, size = bytearray(), 0
    while piece := log.read(LOG_MAX // 2):
        size += len(piece)
        tail += piece
        del tail[: -(LOG_MAX // 2)]
    left_out = size - len(tail)
    middle = f"\n[… {left_out} bytes left out …]\n".encode() if left_out else b""
    return visible((head + middle + tail).decode(errors="replace"))


def around(programs: Sequence[Path]) -> dict[Path, bytes]:
    """Path → text of the programs and of the C files beside them, as far as those are ordinary files."""
    found: dict[Path, bytes] = {}
    for program in programs:
        found[program] = files.read(program)
        for other in (*sorted(program.parent.glob("*.c")), *sorted(program.parent.glob("*.h"))):
            with contextlib.suppress(UsageError):
                found[other] = files.read(other)
    return found


def decoded(sent: Mapping[Path, bytes]) -> dict[Path, str]:
    """The same as text."""
    return {path: text.decode(errors="replace") for path, text in sent.items()}


def gather(
    lab: Lab, programs: Sequence[Path], sent: Mapping[Path, bytes], seconds: float, arguments: Sequence[str] = ()
) -> Generator[Gathered | GuestLost, None, None]:
    """What the lab gathers of each program, run one after the other in one guest, which is given the files `sent`.

    For a program with which the guest dies or goes silent that loss; the next ones go on in a fresh guest.
    """
    left = programs
    while left:
        running = False
        try:
            with lab.open() as guest:
                running = True
                guest.put(sent)
                for found in _run(guest, left, seconds, arguments):
                    yield found
                    left = left[1:]
        except GuestLost as lost:
            if not running:
                raise
            yield lost
            left = left[1:]


def _run(guest: Guest, programs: Sequence[Path], seconds: float, arguments: Sequence[str]) -> Iterator[Gathered]:
    argv = ["python3", "-m", "harness.guest.observing.gather", str(seconds), json.dumps(arguments)]
    folders = tuple(sorted({str(path.parent) for path in programs}))
    guest.start(Spawn(argv=(*argv, *map(str, programs)), cwd=str(programs[0].parent), folders=folders))
    buffer, complaint, count = bytearray(), b"", 0
    deadline = guest.channel.deadline(FILE_DEADLINE_S + seconds)
    for message in guest.channel.messages(deadline):
        if isinstance(message, Exited):
            raise GuestLost("the process that watches it exited", console=visible(complaint.decode(errors="replace")))
        if isinstance(message, Output) and message.stream == "stderr":
            complaint = (complaint + message.data)[-4000:]
        elif isinstance(message, Output):
            buffer += message.data
            if len(buffer) > LINE_MAX:
                raise GuestLost("the lab sent more than can be read")
            while (stop := buffer.find(b"\n")) >= 0:
                row = bytes(buffer[:stop])
                del buffer[: stop + 1]
                deadline.move(FILE_DEADLINE_S + seconds)
                yield _gathered(row, programs[count])
                count += 1
                if count == len(programs):
                    return
    raise GuestLost("the program did not end in the lab")


def _gathered(row: bytes, program: Path) -> Gathered:
    try:
        found = read_gathered(row)
    except WireError as error:
        raise GuestLost(f"the lab sent an invalid message: {error}") from error
    if isinstance(found, InternalError):
        raise HarnessFault(found.text)
    if found.file != str(program):
        raise GuestLost("the lab reported on another program than the one requested")
    return found
