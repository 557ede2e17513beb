"""The learner's progress as one HTML page that loads nothing: lessons, steps, verdicts, hints, pictures they made."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from harness.course import files
from harness.course.catalog import Lesson, Step
from harness.learner import artefacts, flamegraph, progress
from harness.learner.progress import Standing

TEMPLATE = Path(__file__).parent.parent / "templates" / "report.html.j2"
PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
ACTIVE = (".svg", ".html", ".htm", ".xhtml", ".xml")
"""What the guest makes of these kinds could run scripts where it is opened; the host draws its own."""
TEXTS = (".txt", ".csv", ".log")
PICTURE_MAX = 2 << 20
"""Bytes; a larger picture is named and not shown."""
PAGE_MAX = 24 << 20
"""Bytes of all that is shown; what comes after is named and not shown."""
FILES_MAX = 40
"""Of one lesson."""
LINES_MAX = 40
"""Of a text that is shown."""
COLUMNS_MAX = 500
"""Of a line that is shown."""
SHARES = 5
"""Functions named below a flame graph."""
WORDS = {
    "todo": "to do",
    "red": "a test is red",
    "broken": "does not compile, load or attach",
    "not run": "a test did not run",
    "skipped": "a test was skipped",
    "lab": "the lab failed, not the code",
}
MARKS = {"done": "✔", "todo": "○", "red": "✘", "broken": "✘", "not run": "?", "skipped": "-", "lab": "!"}


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


@dataclass
class Room:
    """What may still be shown on the page, in bytes."""

    left: int

    def let(self, exhibit: Exhibit) -> Exhibit:
        """The exhibit if there is room for it; else its name, which always fits."""
        size = len(exhibit.picture) + len(exhibit.text)
        if size > self.left:
            return Exhibit(exhibit.title, text="not shown: the page is large enough")
        self.left -= size
        return exhibit


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


def page(lessons: Sequence[Lesson], today: str) -> str:
    """The whole page, as of the day `today`."""
    room = Room(PAGE_MAX)
    cards = [card(lesson, room) for lesson in lessons]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(TEMPLATE.read_text()).render(
        today=today,
        lessons=cards,
        done=sum(one.state == "done" for one in cards),
        steps=sum(len(one.steps) for one in cards),
        steps_done=sum(one.steps_done for one in cards),
        hints=sum(line.hints for one in cards for line in one.steps),
        names={name for one in cards if one.state == "done" for name in one.lesson.teaches},
    )
    return text.encode(errors="replace").decode()  # a file's name need not be valid UTF-8


def card(lesson: Lesson, room: Room) -> Card:
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
        exhibits=[room.let(exhibit) for exhibit in exhibits(artefacts.home(lesson))],
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
    paths = [path for path in sorted(folder.iterdir()) if _is_shown(path)] if folder.is_dir() else []
    for path in paths[:FILES_MAX]:
        try:
            yield _exhibit(path)
        except Exception as error:  # whatever a file does to its reader, the other files are shown
            why = str(error).replace(str(path), path.name)[:COLUMNS_MAX] or type(error).__name__
            yield Exhibit(path.name, text=f"not shown: {why}")
    if len(paths) > FILES_MAX:
        yield Exhibit("More files", text=f"{len(paths) - FILES_MAX} more files are not shown")


def _is_shown(path: Path) -> bool:
    """Whether the page has something to say about a file; a picture of a drawn profile is the host's own."""
    drawn = path.suffix == ".svg" and path.with_suffix(".folded").exists()
    known = path.suffix in (".folded", *PICTURES, *TEXTS, *ACTIVE)
    return known and path.is_file() and not path.is_symlink() and not drawn


def _exhibit(path: Path) -> Exhibit:
    if path.suffix == ".folded":
        return _flame_graph(path)
    if path.suffix in ACTIVE:
        return Exhibit(path.name, text=f"not shown: a file of the kind {path.suffix} could run scripts")
    if path.suffix in PICTURES:
        return Exhibit(path.name, picture=_address(PICTURES[path.suffix], files.read(path, PICTURE_MAX)))
    lines = files.read_text(path).splitlines()
    more = [f"… {len(lines) - LINES_MAX} lines more"] if len(lines) > LINES_MAX else []
    shown = [line if len(line) <= COLUMNS_MAX else f"{line[:COLUMNS_MAX]}…" for line in lines[:LINES_MAX]]
    return Exhibit(path.name, text="\n".join(shown + more))


def _flame_graph(path: Path) -> Exhibit:
    """Drawn again, so that it also shows where no SVG was made."""
    profile = flamegraph.read(path)
    picture = flamegraph.svg(profile, f"Where the time went: {path.stem}").encode()
    if len(picture) > PICTURE_MAX:
        raise ValueError(f"the picture is larger than {PICTURE_MAX >> 20} MiB")
    own: Counter[str] = Counter()
    for frames, weight in profile.stacks.items():
        own["".join(frames[-1:])] += weight  # type: ignore[assignment] # weights are fractions too
    total = sum(own.values())
    shares = [(name, f"{100 * weight / total:.1f}") for name, weight in own.most_common(SHARES)]
    return Exhibit("Flame graph: where the time went", _address("image/svg+xml", picture), shares=shares)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
