"""The learner's progress as one HTML page that loads nothing: lessons, steps, verdicts, hints, pictures they made."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from harness.course.catalog import Lesson, Step
from harness.errors import UsageError
from harness.learner import artefacts, flamegraph, progress
from harness.learner.progress import Standing

TEMPLATE = Path(__file__).parent.parent / "templates" / "report.html.j2"
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml"}
TEXTS = (".txt", ".csv", ".log")
PICTURE_MAX = 2 << 20
"""Bytes; a larger picture is named and not shown."""
LINES_MAX = 40
"""Of a text that is shown."""
SHARES = 5
"""Functions named below a flame graph."""
WORDS = {
    "todo": "to do",
    "red": "a test is red",
    "broken": "does not compile, load or attach",
    "silent": "it runs and sees nothing",
    "lab": "the lab failed, not the code",
}
MARKS = {"done": "✔", "todo": "○", "red": "✘", "broken": "✘", "silent": "○", "lab": "!"}


@dataclass(frozen=True)
class StepLine:
    """A step as the page shows it."""

    title: str
    kind: str
    """Its verdict; empty for a step that was not reached."""
    mark: str
    words: str
    hints: int


@dataclass(frozen=True)
class Exhibit:
    """Something that a lesson made."""

    title: str
    picture: str = ""
    """As a data: address."""
    text: str = ""
    shares: list[tuple[str, str]] = field(default_factory=list)
    """Function and its share of the samples in percent."""


@dataclass(frozen=True)
class Card:
    """A lesson as the page shows it."""

    lesson: Lesson
    state: str
    """done (now, or once), begun or untouched."""
    dates: str
    steps_done: int
    steps: list[StepLine]
    again: str
    """What the last check said of a lesson that was done once."""
    exhibits: list[Exhibit]


def page(lessons: list[Lesson], today: str) -> str:
    """The whole page, as of the day `today`."""
    cards = [card(lesson) for lesson in lessons]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text()).render(
        today=today,
        lessons=cards,
        done=sum(one.state == "done" for one in cards),
        steps=sum(len(one.steps) for one in cards),
        steps_done=sum(one.steps_done for one in cards),
        hints=sum(line.hints for one in cards for line in one.steps),
        names={name for one in cards if one.state == "done" for name in one.lesson.teaches},
    )


def card(lesson: Lesson) -> Card:
    """What is remembered of a lesson, and what it made."""
    now = progress.standing(lesson)
    done = len(lesson.steps) if now.was_done else min(now.steps_done, len(lesson.steps))
    again = WORDS.get(now.verdict, "") if now.was_done else ""
    return Card(
        lesson=lesson,
        state="done" if now.was_done else "begun" if now.when or now.hints else "untouched",
        dates=_dates(now),
        steps_done=done,
        steps=[_line(step, done, now) for step in lesson.steps],
        again=f"Done once; at the last check, {now.when[:10]}: {again}." if again else "",
        exhibits=list(exhibits(artefacts.home(lesson))),
    )


def _line(step: Step, done: int, now: Standing) -> StepLine:
    kind = "done" if step.number <= done else now.verdict if step.number == done + 1 and now.when else ""
    hints = min(now.hints.get(step.number, 0), len(step.hints))
    return StepLine(step.title, kind, MARKS.get(kind, "·"), WORDS.get(kind, ""), hints)


def _dates(now: Standing) -> str:
    """When the lesson was begun and done, as far as that is known."""
    begun, done = now.begun[:10], now.done_at[:10]
    if now.was_done:
        return f"{begun} to {done}" if begun and begun != done else f"done {done}" if done else "done"
    return f"begun {begun or now.when[:10]}" if now.when else ""


def exhibits(folder: Path) -> Iterator[Exhibit]:
    """What the page can show of the files in `folder`; copies that a later run set aside are passed over."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        drawn_anew = path.suffix == ".svg" and path.with_suffix(".folded").exists()
        if not path.is_file() or path.is_symlink() or drawn_anew:
            continue
        if path.suffix == ".folded":
            yield _flame_graph(path)
        elif path.suffix in PICTURES:
            yield _picture(path)
        elif path.suffix in TEXTS:
            lines = path.read_text(errors="replace").splitlines()
            more = [f"… {len(lines) - LINES_MAX} lines more"] if len(lines) > LINES_MAX else []
            yield Exhibit(path.name, text="\n".join(lines[:LINES_MAX] + more))


def _picture(path: Path) -> Exhibit:
    if path.stat().st_size > PICTURE_MAX:
        return Exhibit(path.name, text=f"larger than {PICTURE_MAX >> 20} MiB, not shown")
    return Exhibit(path.name, picture=_address(PICTURES[path.suffix], path.read_bytes()))


def _flame_graph(path: Path) -> Exhibit:
    """Drawn anew, so that it also shows where no SVG was made."""
    try:
        profile = flamegraph.read(path)
    except UsageError as error:
        return Exhibit(path.name, text=f"{path.name} cannot be drawn: {error.__cause__ or 'it holds no samples'}")
    picture = flamegraph.svg(profile, f"Where the time went: {path.stem}")
    own: Counter[str] = Counter()
    for frames, weight in profile.stacks.items():
        own[frames[-1]] += weight  # type: ignore[assignment] # weights are fractions too
    total = sum(own.values())
    shares = [(name, f"{100 * weight / total:.1f}") for name, weight in own.most_common(SHARES)]
    return Exhibit("Flame graph: where the time went", _address("image/svg+xml", picture.encode()), shares=shares)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
