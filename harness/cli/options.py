"""What the commands share: their options, the two screens, the checkout, the lesson that was named, the lab."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
from typer.core import TyperCommand, TyperOption

if TYPE_CHECKING:
    from rich.console import Console

    from harness.course.catalog import Course, Lesson
    from harness.lab.guest import Lab
    from harness.lab.saved import SavedGuest

LessonOrTool = Annotated[
    str, typer.Argument(help="number, slug or topic: 3, 03, maps; or a tool of yours", metavar="LESSON")
]
LessonName = Annotated[str, typer.Argument(help="number, slug or topic: 3, 03, maps", metavar="LESSON")]
OneLesson = Annotated[str | None, typer.Argument(help="one lesson; all by default", metavar="[LESSON]")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
LabName = Annotated[str, typer.Option("--lab", help="vm (the virtual machine) or host (this kernel, as root)")]
Tree = Annotated[str, typer.Option(help="lessons (your code) or solutions (the reference)")]
Seed = Annotated[int | None, typer.Option(help="replay a run's random choices")]
Guests = Annotated[int | None, typer.Option(help="guests at a time; by default as many as fit")]
FilesOnly = Annotated[bool, typer.Option("--files-only", help="only what needs no guest")]
PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class InLab(TyperCommand):
    """A command that uses a guest: `--kernel` and `--arch` choose it, for all that the command starts too."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        from harness.lab.image import target
        from harness.lab.image.architecture import ARCHITECTURES
        from harness.lab.image.kernels import KERNELS

        super().__init__(*arguments, **named)
        kernels = ", ".join(one.name for one in KERNELS)
        archs = ", ".join(one.name for one in ARCHITECTURES)
        self.params += [
            _choice("--kernel", target.KERNEL, target.kernel_named, f"the lab's kernel: {kernels}"),
            _choice("--arch", target.ARCH, target.arch_named, f"the lab's architecture: {archs}"),
        ]


def _choice(option: str, variable: str, named: Callable[[str], object], text: str) -> TyperOption:
    def choose(_: click.Context, __: click.Parameter, value: str | None) -> None:
        if value is not None:
            named(value)
            os.environ[variable] = value

    return TyperOption(
        param_decls=[option], metavar="NAME", help=f"{text} [{variable}]", expose_value=False, callback=choose
    )


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
    from harness.lab.image import target
    from harness.screen import stages

    with stages(err()) as say:
        return open_lab(name, target.chosen(), say)


def built() -> SavedGuest:
    """The saved guest, built with progress on the screen if it is missing."""
    from harness.lab import saved
    from harness.lab.image import target
    from harness.screen import stages

    with stages(err()) as say:
        return saved.ensure(target.chosen(), say)


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


def pick_own(name: str) -> Lesson:
    """The learner's own tool of that name, else the lesson that the user named."""
    from harness.tools import tool

    return tool.find(root(), name) or pick(name)


def a_seed(given: int | None) -> int:
    """The seed that the user gave, else a new one."""
    from harness import seed

    return given if given is not None else seed.new()
