"""The learner's progress as one HTML page that loads nothing: lessons, steps, verdicts, hints, pictures they made."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import jinja2

from harness.course import catalog, files
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
class Picture:
    """An image, and nothing else."""

    kind: str
    """Its media type."""
    content: bytes

    @property
    def address(self) -> str:
        """It, as a data: address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Exhibit:
    """Something that a lesson made."""

    title: str
    picture: Picture | None = None
    text: str = ""
    shares: list[tuple[str, str]] = field(default_factory=list)
    """Function and its share of the samples in percent."""


@dataclass
class Room:
    """What may still be shown on the page, in bytes."""

    left: int

    def let(self, exhibit: Exhibit) -> Exhibit:
        """The exhibit if there is room for it; else its name, which always fits."""
        size = len(exhibit.picture.address if exhibit.picture else "") + len(exhibit.text)
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
    times: str
    page: str
    """Address of the lesson's page, from where the report lies; empty where there is none."""
    steps_done: int
    steps: list[StepLine]
    again: str
    """What the last check said of a lesson that was done once."""
    exhibits: list[Exhibit]


@dataclass(frozen=True)
class Track:
    """A track's lessons as the page shows them."""

    title: str
    cards: list[Card]
    done: int
    """Lessons of it that are done."""


def page(lessons: Sequence[Lesson], today: str, folder: Path | None = None) -> str:
    """The whole page, as of the day `today`; `folder` is where it will lie."""
    room = Room(PAGE_MAX)
    tracks = [_track(title, [card(one, room, folder) for one in those]) for title, those in catalog.by_track(lessons)]
    cards = [card for track in tracks for card in track.cards]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(TEMPLATE.read_text()).render(
        today=today,
        tracks=tracks,
        lessons=len(cards),
        done=sum(track.done for track in tracks),
        steps=sum(len(one.steps) for one in cards),
        steps_done=sum(one.steps_done for one in cards),
        hints=sum(line.hints for one in cards for line in one.steps),
        names={name for one in cards if one.state == "done" for name in one.lesson.teaches},
    )
    return text.encode(errors="replace").decode()  # a file's name need not be valid UTF-8


def _track(title: str, cards: list[Card]) -> Track:
    return Track(title, cards, sum(card.state == "done" for card in cards))


def card(lesson: Lesson, room: Room, folder: Path | None) -> Card:
    """What is remembered of a lesson, and what it made."""
    now = progress.standing(lesson)
    done = len(lesson.steps) if now.was_done else min(now.steps_done, len(lesson.steps))
    again = WORDS.get(now.verdict, "") if now.was_done else ""
    return Card(
        lesson=lesson,
        state="done" if now.was_done else "begun" if now.when or now.hints else "untouched",
        times=_times(now),
        page=_link(lesson, folder),
        steps_done=done,
        steps=[_line(step, done, now) for step in lesson.steps],
        again=f"Done once; at the last check, {_time(now.when)}: {again}." if again else "",
        exhibits=[room.let(exhibit) for exhibit in exhibits(artefacts.home(lesson))],
    )


def _line(step: Step, done: int, now: Standing) -> StepLine:
    kind = "done" if step.number <= done else now.verdict if step.number == done + 1 and now.when else ""
    hints = min(now.hints_used.get(step.number, 0), len(step.hints))
    return StepLine(step.title, kind, MARKS.get(kind, "·"), WORDS.get(kind, ""), hints)


def _link(lesson: Lesson, folder: Path | None) -> str:
    """Where the lesson's page is, seen from `folder`; empty outside the checkout, since such a report is to be sent."""
    if folder is None or not folder.resolve().is_relative_to(lesson.root.resolve()) or not lesson.page.is_file():
        return ""
    return quote(os.path.relpath(lesson.page.resolve(), folder.resolve()))


def _times(now: Standing) -> str:
    """When the lesson was begun, checked last and done, as far as that is known."""
    begun, done, checked = _time(now.begun), _time(now.done_at), _time(now.when)
    if now.was_done:
        return f"{begun} to {done}" if begun and begun != done else f"done {done}" if done else "done"
    if not checked or begun in ("", checked):
        return f"begun {checked}" if checked else ""
    return f"begun {begun}, checked {checked}"


def _time(when: str) -> str:
    """Day and minute of a time in ISO 8601."""
    return when[:16].replace("T", " ")


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
        return Exhibit(path.name, picture=Picture(PICTURES[path.suffix], files.read(path, PICTURE_MAX)))
    lines = files.read_text(path).splitlines()
    more = [f"… {len(lines) - LINES_MAX} lines more"] if len(lines) > LINES_MAX else []
    shown = [line if len(line) <= COLUMNS_MAX else f"{line[:COLUMNS_MAX]}…" for line in lines[:LINES_MAX]]
    return Exhibit(path.name, text="\n".join(shown + more))


def _flame_graph(path: Path) -> Exhibit:
    """Drawn again, so that it also shows where no SVG was made."""
    profile = flamegraph.read(path)
    picture = flamegraph.svg(profile).encode()
    if len(picture) > PICTURE_MAX:
        raise ValueError(f"the picture is larger than {PICTURE_MAX >> 20} MiB")
    own: Counter[str] = Counter()
    for frames, weight in profile.stacks.items():
        own["".join(frames[-1:])] += weight  # type: ignore[assignment] # weights are fractions too
    total = sum(own.values())
    shares = [(name, f"{100 * weight / total:.1f}") for name, weight in own.most_common(SHARES)]
    title = f"Flame graph of {flamegraph.title(profile)}: {flamegraph.facts(profile)}"
    return Exhibit(title, Picture("image/svg+xml", picture), shares=shares)
