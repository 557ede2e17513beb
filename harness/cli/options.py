"""What the commands share: their options, the two screens, the checkout, the lesson that was named, the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from harness.course.catalog import Course, Lesson
    from harness.lab.guest import Lab
    from harness.lab.saved import SavedGuest

LessonName = Annotated[str, typer.Argument(help="number, slug or topic: 3, 03, maps", metavar="LESSON")]
OneLesson = Annotated[str | None, typer.Argument(help="one lesson; all by default", metavar="[LESSON]")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
LabName = Annotated[str, typer.Option("--lab", help="vm (the virtual machine) or host (this kernel, as root)")]
Tree = Annotated[str, typer.Option(help="lessons (your code) or solutions (the reference)")]
Seed = Annotated[int | None, typer.Option(help="replay a run's random choices")]
Guests = Annotated[int | None, typer.Option(help="guests at a time; by default as many as fit")]
FilesOnly = Annotated[bool, typer.Option("--files-only", help="only what needs no guest")]
PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def out() -> Console:
    """Standard output; colours respect NO_COLOR and the kind of terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Standard error, for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def show(text: str, style: str = "") -> None:
    """Print `text` with no markup in it, harmless to a terminal, as part of the result."""
    from rich.text import Text

    from harness.protocol.visible import visible

    out().print(Text(visible(text), style=style))


def note(text: str, style: str = "") -> None:
    """The same on standard error."""
    from rich.text import Text

    from harness.protocol.visible import visible

    err().print(Text(visible(text), style=style))


def show_json(data: Any) -> None:
    """Print `data` as one line of JSON."""
    typer.echo(json.dumps(data))


def opened(name: str) -> Lab:
    """The lab, built with progress on the screen if it is missing."""
    from harness.lab.choose import open_lab
    from harness.screen import stages

    with stages(err()) as say:
        return open_lab(name, say)


def built() -> SavedGuest:
    """The saved guest, built with progress on the screen if it is missing."""
    from harness.lab import saved
    from harness.screen import stages

    with stages(err()) as say:
        return saved.ensure(say)


def root() -> Path:
    """The checkout."""
    from harness.course import catalog

    return catalog.find_root(Path.cwd())


def course() -> Course:
    """The course's lessons, in order."""
    from harness.course.catalog import Course

    return Course.load(root())


def pick(name: str) -> Lesson:
    """The lesson that the user named."""
    return course().pick(name)


def a_seed(given: int | None) -> int:
    """The seed that the user gave, else a new one."""
    from harness import seed

    return given if given is not None else seed.new()
