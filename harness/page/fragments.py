"""The page's regions as HTML: everything that a guest, a file or a person wrote becomes text."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from rich.console import Console

from harness.course.catalog import Course, Lesson
from harness.explain.explanation import Explanation
from harness.learner import compare, htmlreport, judge, progress, verify
from harness.learner.events import Compared, Differs, Hinted, Judged, Restored
from harness.page.board import Region, Shown
from harness.run import steps as run_steps
from harness.run.outcome import StepResult
from harness.run.verdict import Verdict

TEMPLATES = Path(__file__).parent.parent / "templates" / "page"
ANSWER_WIDTH = 78
TAB = "    "


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests["hinted"] = lambda one: isinstance(one, Hinted)
    made.tests["differs"] = lambda one: isinstance(one, Differs)
    made.tests["judged"] = lambda one: isinstance(one, Judged)
    made.tests["compared"] = lambda one: isinstance(one, Compared)
    made.tests["restored"] = lambda one: isinstance(one, Restored)
    made.filters["printed"] = _printed
    made.filters["groups"] = lambda one: compare.groups(one.mine, one.reference)
    made.filters["place"] = place
    made.filters["read"] = lambda page: "/" + page.replace(".md", "")
    made.globals["meanings"] = (*compare.ROWS, compare.LOST)
    return made


def render(template: str, **values: Any) -> str:
    """A template of harness/templates/page, filled; what is not valid UTF-8 in it is replaced."""
    text = _environment().get_template(template).render(**values)
    return text.encode(errors="replace").decode()


def region(name: Region, shown: Shown) -> str:
    """One region of the page; the output is sent in pieces instead."""
    if shown.lesson is None:
        return ""
    values: dict[str, Any] = {"shown": shown, "lesson": shown.lesson, "standing": progress.standing(shown.lesson)}
    if name == "status":
        values |= {"state": state(shown)}
    if name == "steps":
        values |= {"rows": steps(shown.lesson, shown), "next": _next(shown)}
    if name == "verdict" and shown.view is not None:
        values |= red(shown.view)
    return render(f"{name}.html.j2", **values)


@dataclass(frozen=True)
class State:
    """What is going on, as a word, a mark and a sentence."""

    kind: str
    mark: str
    text: str


def state(shown: Shown) -> State:
    """Of the status line."""
    if shown.work is not None:
        return State("working", "…", ": ".join(filter(None, [str(shown.work), shown.part])))
    if shown.fault is not None:
        return State("lab", "!", "the lab failed" if shown.fault.lab else "not checked")
    if shown.view is None:
        return State("waiting", "·", "waiting for a save")
    opened = shown.view.open
    if opened is None and not shown.view.unreadable:
        return State("done", htmlreport.MARKS["done"], f"done, {shown.when}")
    kind = opened.verdict.kind if opened else "red"
    number = f", step {opened.step.number}" if opened else ""
    return State(kind, verify.MARKS[kind][0], f"{htmlreport.WORDS.get(kind, kind)}{number}, {shown.when}")


@dataclass(frozen=True)
class Row:
    """A step."""

    number: int
    title: str
    kind: str
    mark: str
    count: str
    current: bool


def steps(lesson: Lesson, shown: Shown) -> list[Row]:
    """The lesson's steps; before the first check, what is remembered of them."""
    if shown.view is None:
        done = progress.standing(lesson).steps_done
        return [
            Row(
                step.number,
                step.title,
                "done" if step.number <= done else "",
                "✔" if step.number <= done else "·",
                "",
                False,
            )
            for step in lesson.steps
        ]
    opened = shown.view.open
    return [
        Row(
            one.step.number, one.step.title, one.verdict.kind, verify.MARKS[one.verdict.kind][0],
            _count(one),
            opened is not None and one.step.number == opened.step.number,
        )
        for one in shown.view.steps
    ]  # fmt: skip


def _count(one: StepResult) -> str:
    if one.verdict.kind == "blocked":
        return one.verdict.text if one.verdict is run_steps.DONE_BEFORE else ""
    return f"{one.passed}/{one.total} tests"


def _next(shown: Shown) -> Lesson | None:
    assert shown.lesson is not None
    return Course.load(shown.lesson.root).after(shown.lesson)


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    text: str
    """file:line, from the checkout."""
    path: str
    """The same, absolute."""
    link: str
    """It, opened in VS Code; empty where nothing was named (https://code.visualstudio.com/docs/configure/command-line)."""
    source: str
    """The line itself, as it ran."""


def place(text: str, view: verify.View) -> Place | None:
    """What "file:line" or "file:line:column" means; None for an empty one."""
    if not text:
        return None
    name, line, column = [*text.split(":"), "", ""][:3]
    path = view.lesson.root / name
    numbers = "".join(f":{number}" for number in (line, column) if number.isdecimal())
    source = ""
    if view.request is not None and line.isdecimal() and (content := view.request.files.get(path)) is not None:
        lines = content.decode(errors="replace").splitlines()
        source = lines[int(line) - 1] if 0 < int(line) <= len(lines) else ""
    return Place(text, f"{path}{numbers}", f"vscode://file{quote(str(path))}{numbers}", source.replace("\t", TAB))


@dataclass(frozen=True)
class Pointed:
    """A line in three pieces: the middle one is at fault."""

    before: str
    at_fault: str
    after: str


def pointed(why: Explanation) -> Pointed | None:
    """The line that an explanation is about; None where it names none."""
    if not why.source.strip():
        return None
    column, width = why.mark
    text = why.source.rstrip()
    begin = len(text) - len(text.lstrip())
    if width and column > begin:
        return Pointed(text[begin : column - 1], text[column - 1 : column - 1 + width], text[column - 1 + width :])
    return Pointed("", text.lstrip(), "")


def red(view: verify.View) -> dict[str, Any]:
    """What the open step needs, for the template."""
    found: Verdict | None = view.open.verdict if view.open else None
    why = found.why if found else None
    return {
        "view": view,
        "found": found,
        "why": why,
        "line": pointed(why) if why else None,
        "unloaded": verify.does_not_load(view),
        "warnings": verify.warnings(view),
        "todo": verify.next_command(view, "lessons", watching=True),
    }


def _printed(one: Judged) -> str:
    """A judgement, as the terminal prints it."""
    screen = io.StringIO()
    judge.show(one.lesson, one.step, one.found, Console(file=screen, width=ANSWER_WIDTH, soft_wrap=True), one.reached)
    return screen.getvalue()


def course(lessons: Sequence[Lesson]) -> str:
    """The overview: each lesson with its steps, and what it made."""
    room = htmlreport.Room(htmlreport.PAGE_MAX)
    return render("course.html.j2", cards=[htmlreport.card(lesson, room, None) for lesson in lessons])
