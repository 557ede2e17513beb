"""The half of the author's check that needs no guest: a lesson has all its parts, and they fit together.

It works on stubs made from the solutions, never on the working copy, so a learner's own edits change nothing.
The other half is harness.authoring.proving.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.authoring import answers, teaching
from harness.course import files, mutants, stubs
from harness.course.catalog import Course, Lesson
from harness.errors import UsageError

HINT_LEVELS = 3
MUTANTS_MIN = {"00": 3}
MUTANTS_MIN_DEFAULT = 6
WITHOUT_ORACLE = ("00",)


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    lesson: str
    what: str
    ok: bool
    detail: str = ""
    """What is wrong, where it is not ok."""
    seconds: float = 0.0
    shown: str = ""
    """What is worth seeing even where all is well, such as an oracle's numbers."""
    lab: bool = False
    """The lab failed, so that nothing was proven and nothing refuted."""


def check_files(lesson: Lesson) -> list[Finding]:
    """All that needs no guest: stubs as committed, steps and TODOs, hints, page, mutants' texts, stray files."""
    found = list(_structure(lesson))
    found += [
        Finding(
            lesson.name,
            f"stub {name} is the generated one",
            _is_committed(lesson.folder() / name, text),
            "workbook author stubs",
        )
        for name, text in stubs.stubs(lesson).items()
    ]
    found += _words(lesson, Course.load(lesson.root))
    return found


def _words(lesson: Lesson, course: Course) -> Iterator[Finding]:
    """What a lesson says: only names that were taught, nothing of an answer, code that is the files'."""
    untaught = [
        f"{use.name} ({use.path.relative_to(lesson.root)}:{use.line})" for use in teaching.untaught(lesson, course)
    ]
    yield Finding(lesson.name, "every BCC name was taught by then", not untaught, ", ".join(untaught))
    unused = teaching.unused(lesson)
    yield Finding(lesson.name, "every taught name is used", not unused, ", ".join(unused))
    leaks = [str(leak) for leak in answers.in_stub(lesson, course)]
    yield Finding(lesson.name, "no earlier answer is in a stub", not leaks, "; ".join(leaks))
    leaks = [str(leak) for leak in answers.in_words(lesson)]
    yield Finding(lesson.name, "no answer is in a hint or the page", not leaks, "; ".join(leaks))


def _structure(lesson: Lesson) -> Iterator[Finding]:
    numbers = [hole.number for hole in stubs.holes(lesson)]
    wanted = [step.number for step in lesson.steps]
    yield Finding(lesson.name, "one TODO for each step", numbers == wanted, f"TODOs {numbers}, steps {wanted}")
    short = [step.number for step in lesson.steps if len(step.hints) != HINT_LEVELS]
    yield Finding(lesson.name, f"{HINT_LEVELS} hints for each step", not short, f"steps {short}")
    yield Finding(lesson.name, "a page", lesson.page.exists(), str(lesson.page.name))
    known = mutants.load(lesson)
    least = MUTANTS_MIN.get(lesson.number, MUTANTS_MIN_DEFAULT)
    yield Finding(lesson.name, f"at least {least} mutants", len(known) >= least, f"{len(known)}")
    yield from _mutants_apply(lesson)
    named = {step.mutant for step in lesson.steps if step.mutant}
    unknown = named - {mutant.name for mutant in known}
    yield Finding(lesson.name, "the learner's test has its mutant", not unknown, ", ".join(sorted(unknown)))
    if lesson.number not in WITHOUT_ORACLE:
        yield Finding(lesson.name, "an oracle", lesson.oracle.exists(), str(lesson.oracle.relative_to(lesson.root)))
    extra = sorted(path.name for path in _stray(lesson))
    yield Finding(lesson.name, "no stray files", not extra, ", ".join(extra))


def _mutants_apply(lesson: Lesson) -> Iterator[Finding]:
    wrong = []
    for mutant in mutants.load(lesson):
        try:
            mutants.apply(mutant, lesson)
        except UsageError as error:
            wrong.append(str(error))
    yield Finding(lesson.name, "each mutant finds its text once", not wrong, "; ".join(wrong))


def _stray(lesson: Lesson) -> Iterator[Path]:
    edited = set(lesson.edited)
    for path in lesson.folder("solutions").iterdir():
        if path.name not in edited and not path.name.startswith("__"):
            yield path
    given = edited | {"lesson.toml", lesson.tests.name}
    for path in _tracked(lesson.folder()):
        if path.name not in given and path.suffix != ".c":
            yield path


def _tracked(folder: Path) -> list[Path]:
    """The files in `folder` that git tracks, so without a learner's notes."""
    done = subprocess.run(["git", "ls-files", "."], cwd=folder, capture_output=True, text=True)
    return [folder / line for line in done.stdout.splitlines()]


def _is_committed(path: Path, text: str) -> bool:
    """Whether the file is `text`, or git has known such a version: a learner may have gone on from it."""
    data = text.encode()
    if files.exists(path) and files.read(path) == data:
        return True
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return subprocess.run(["git", "cat-file", "-e", blob], cwd=path.parent, capture_output=True).returncode == 0
