"""Known-wrong answers: the reference with one misconception put in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.course import files, specification
from harness.course.catalog import Lesson, Step
from harness.course.tables import Table
from harness.errors import UsageError

KEYS = {"name", "file", "find", "replace", "edit", "misconception", "killed_by"}
EDIT_KEYS = {"file", "find", "replace"}
NOTHING = "nothing-reported"
"""The mutant of this name shows a test nothing at all; a learner's test that asserts nothing then passes."""


@dataclass(frozen=True)
class Edit:
    """One replacement in one file of the solution; `find` is there exactly once."""

    file: str
    find: str
    replace: str


@dataclass(frozen=True)
class Mutant:
    """A misconception, and the test that must catch it."""

    name: str
    edits: tuple[Edit, ...]
    misconception: str
    killed_by: str


def load(lesson: Lesson) -> list[Mutant]:
    """The mutants of `lesson`; UsageError names what is wrong in the file."""
    if not files.exists(lesson.mutants):
        return []
    return [_mutant(lesson, entry) for entry in Table.load(lesson.mutants, {"mutant"}).tables("mutant", KEYS)]


def decisive(known: list[Mutant], step: Step) -> list[Mutant]:
    """Those that the learner's test of `step` must catch: the one that the step names, then NOTHING if there is one."""
    return [mutant for name in (step.mutant, NOTHING) for mutant in known if mutant.name == name]


def steps_of_tests(lesson: Lesson) -> dict[str, int]:
    """Test of the specification → its step, as its mark says; a mutant's `killed_by` names one."""
    source = files.read(lesson.tests) if files.exists(lesson.tests) else b""
    found = specification.functions(source)
    return {test.name.split("::")[-1]: test.step for test in found if test.step is not None}


def _mutant(lesson: Lesson, table: Table) -> Mutant:
    edits = table.tables("edit", EDIT_KEYS) if table.has("edit") else [table]
    return Mutant(
        name=table.line("name"),
        edits=tuple(_edit(lesson, edit) for edit in edits),
        misconception=table.line("misconception"),
        killed_by=table.line("killed_by"),
    )


def _edit(lesson: Lesson, table: Table) -> Edit:
    """One replacement; a path out of the solution's folder is not one of its files."""
    if (name := table.line("file")) not in lesson.edited:
        raise table.wrong(f"{name!r} is not one of the solution's files ({', '.join(lesson.edited)})")
    return Edit(name, table.text("find"), table.text("replace"))


def apply(mutant: Mutant, lesson: Lesson) -> dict[Path, bytes]:
    """The solution's files that the mutant changes, changed; UsageError where a text to find is not there once."""
    changed: dict[Path, str] = {}
    for edit in mutant.edits:
        path = lesson.folder("solutions") / edit.file
        text = changed[path] if path in changed else files.read_text(path)
        if (count := text.count(edit.find)) != 1:
            raise UsageError(
                f"{lesson.mutants}: mutant {mutant.name!r} finds its text {count} times in {edit.file}, not once"
            )
        changed[path] = text.replace(edit.find, edit.replace)
    return {path: text.encode() for path, text in changed.items()}
