"""A lesson's loader in a fresh guest: the command, its environment, and its end."""

from __future__ import annotations

import codecs
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.course.catalog import Lesson
from harness.guest.agent import starter
from harness.lab.channel import Deadline, Output
from harness.lab.guest import Guest, Lab
from harness.learner import artefacts
from harness.protocol.messages import Exited, Signal, Spawn
from harness.protocol.visible import visible
from harness.run import payload

END_S = 20
"""How long a loader may take from Ctrl-C to its end; it detaches, and prints what it counted."""


def command(lesson: Lesson, tree: str, arguments: Sequence[str] = ()) -> list[str]:
    """What runs the loader of `lesson`, by default on the lesson's own example: nothing else runs in a guest."""
    return starter.argv(str(lesson.folder(tree) / "loader.py"), *(arguments or lesson.demo))


def spawn(argv: Sequence[str], cwd: Path, *, tty: bool, rows: int, columns: int, env: Mapping[str, str]) -> Spawn:
    """The request; `env` is added to what each command gets."""
    # Unbuffered: what a loader prints is seen when it is printed, in a pipe too.
    given = {"TERM": "dumb", "PYTHONUNBUFFERED": "1", artefacts.VARIABLE: artefacts.GUEST_FOLDER, **env}
    folders = (artefacts.GUEST_FOLDER,)
    return Spawn(argv=tuple(argv), cwd=str(cwd), tty=tty, rows=rows, columns=columns, env=given, folders=folders)


@contextlib.contextmanager
def started(lab: Lab, what: Spawn, files: Mapping[Path, bytes]) -> Iterator[Guest]:
    """A guest in which `what` runs, beside `files`."""
    with lab.open() as guest:
        guest.put(files)
        guest.start(what)
        yield guest


def stream(
    lab: Lab, lesson: Lesson, stopped: Callable[[], bool], printed: Callable[[str], None]
) -> tuple[int, tuple[str, ...]]:
    """Run the learner's loader to its end: its exit status, and the names of the files that it made.

    `stopped` is asked each time something arrives; once it is true the loader gets Ctrl-C, and END_S later its guest
    ends. LabError when the lab cannot.
    """
    folder, text = lesson.folder(), codecs.getincrementaldecoder("utf-8")("replace")
    what = spawn(command(lesson, "lessons"), folder, tty=False, rows=24, columns=80, env={})
    with started(lab, what, payload.of_folder(folder)) as guest:
        guest.channel.enter(b"")
        status = _until_ended(guest, stopped, lambda data: printed(visible(text.decode(data))))
        brought = artefacts.fetch(guest, artefacts.home(lesson)) if status is not None else []
    return status if status is not None else -signal.SIGKILL, tuple(path.name for path in brought)


def _until_ended(guest: Guest, stopped: Callable[[], bool], printed: Callable[[bytes], None]) -> int | None:
    """The loader's exit status; None where it did not end by itself."""
    asked: float | None = None
    while asked is None or time.monotonic() - asked < END_S:
        if asked is None and stopped():
            asked = time.monotonic()
            guest.channel.request(Signal(number=int(signal.SIGINT)))
        for message in guest.channel.messages(Deadline(0.2), endless=True):
            if isinstance(message, Exited):
                return message.status
            if isinstance(message, Output):
                printed(message.data)
            if asked is None and stopped():
                break
    return None
