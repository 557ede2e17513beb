"""What the commands share: the two screens, the checkout, the lesson that was named, the lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from harness.course import catalog
from harness.course.catalog import Lesson
from harness.screen import telling

if TYPE_CHECKING:
    from harness.lab.host import HostLab
    from harness.lab.virtual import VirtualLab

LessonName = Annotated[str, typer.Argument(help="number, slug or topic: 3, 03, maps", metavar="LESSON")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
LabName = Annotated[str, typer.Option("--lab", help="vm (the virtual machine) or host (this kernel, as root)")]
PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def out() -> Console:
    """Standard output; colours respect NO_COLOR and the kind of terminal."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Standard error, for progress and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def opened(name: str) -> VirtualLab | HostLab:
    """The lab, built with progress on the screen if it is missing."""
    from harness.lab.choose import open_lab

    with telling(err()) as say:
        return open_lab(name, say)


def root() -> Path:
    """The checkout."""
    return catalog.find_root(Path.cwd())


def pick(name: str) -> Lesson:
    """The lesson that the user named."""
    return catalog.pick(catalog.lessons(root()), name)
