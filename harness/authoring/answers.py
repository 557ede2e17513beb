"""The learner finds the lines of an answer: no later stub, no hint and no page holds one.

Lines are compared without their spacing and their last punctuation. Lines of any program (`return 0;`, `else:`, short
lines) and lines of the lesson's stub do not count as answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.course import files, stubs
from harness.course.catalog import Course, Lesson

SHORT = 12
"""Characters; a line with fewer could stand anywhere."""
ANYWHERE = re.compile(r"return(?: -?\w+)?|except(?: \w+)?(?: as \w+)?|while True|#.*|//.*|from \S+ import .*|import .*")


@dataclass(frozen=True)
class Leak:
    """A place that holds a line of an answer."""

    place: str
    answer: str
    step: str
    """Whose answer: lesson and TODO."""

    def __str__(self) -> str:
        return f"{self.place} holds `{self.answer}`, of {self.step}"


def normal(line: str) -> str:
    """The line without its spacing and last punctuation."""
    return " ".join(line.split()).rstrip(" ;{}:,")


def lines(lesson: Lesson) -> dict[str, str]:
    """Line of an answer, in its normal form → lesson and TODO; without what is trivial or given."""
    given = {normal(line) for text in stubs.stubs(lesson).values() for line in text.splitlines()}
    found: dict[str, str] = {}
    for name in lesson.edited:
        for number, line in _inside(files.read_text(lesson.folder("solutions") / name)):
            answer = normal(line)
            if len(answer) >= SHORT and not ANYWHERE.fullmatch(answer) and answer not in given:
                found.setdefault(answer, f"{lesson.name} TODO {number}")
    return found


def _inside(text: str) -> Iterator[tuple[int, str]]:
    number = 0
    for line in text.splitlines():
        if begins := stubs.BEGIN.match(line):
            number = int(begins["number"])
        elif stubs.END.match(line):
            number = 0
        elif number:
            yield number, line


def in_stub(lesson: Lesson, course: Course) -> list[Leak]:
    """Lines of the stub that were an answer in an earlier lesson."""
    earlier: dict[str, str] = {}
    for other in course.earlier(lesson):
        earlier |= lines(other)
    found = []
    for name, text in stubs.stubs(lesson).items():
        for number, line in enumerate(text.splitlines(), 1):
            if (answer := normal(line)) in earlier:
                place = (lesson.folder() / name).relative_to(lesson.root)
                found.append(Leak(f"{place}:{number}", answer, earlier[answer]))
    return found


def in_words(lesson: Lesson) -> list[Leak]:
    """Hints, and parts of the page, that hold a line of the lesson's own answers."""
    own = lines(lesson)
    texts = {f"hint {i} of step {s.number}": hint for s in lesson.steps for i, hint in enumerate(s.hints, 1)}
    if files.exists(lesson.page):
        texts[str(lesson.page.relative_to(lesson.root))] = files.read_text(lesson.page)
    spaced = {place: " ".join(text.split()) for place, text in texts.items()}
    return [Leak(place, answer, own[answer]) for place, text in spaced.items() for answer in own if answer in text]
