"""Known-wrong answers: the reference with one misconception put in."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.course import specification
from harness.course.catalog import Lesson
from harness.errors import UsageError

KEYS = {"name", "file", "find", "replace", "edit", "misconception", "killed_by", "alone"}
EDIT_KEYS = {"file", "find", "replace"}


@dataclass(frozen=True)
class Edit:
    """One replacement in one file of the solution; `find` stands there exactly once."""

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
    alone: bool = False
    """A race that shows only when nothing else runs on the machine."""


def load(lesson: Lesson) -> list[Mutant]:
    """The mutants of `lesson`; UsageError names what is wrong in the file."""
    path = lesson.mutants
    if not path.exists():
        return []
    try:
        return [_mutant(entry) for entry in tomllib.loads(path.read_text())["mutant"]]
    except KeyError as error:
        raise UsageError(f"{path}: {error.args[0]!r} is missing") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def steps_of_tests(lesson: Lesson) -> dict[str, int]:
    """Test of the specification → its step, as its mark says; a mutant's `killed_by` names one."""
    source = lesson.tests.read_bytes() if lesson.tests.exists() else b""
    found = specification.functions(source)
    return {test.name.split("::")[-1]: test.step for test in found if test.step is not None}


def _mutant(entry: dict[str, Any]) -> Mutant:
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r} in mutant {entry.get('name')!r}")
    edits = entry.get("edit") or [{key: entry[key] for key in EDIT_KEYS}]
    return Mutant(
        name=entry["name"],
        edits=tuple(Edit(e["file"], e["find"], e["replace"]) for e in edits),
        misconception=entry["misconception"],
        killed_by=entry["killed_by"],
        alone=entry.get("alone", False),
    )


def apply(mutant: Mutant, lesson: Lesson) -> dict[Path, bytes]:
    """The solution's files that the mutant changes, changed; UsageError where a text to find is not there once."""
    changed: dict[Path, str] = {}
    for edit in mutant.edits:
        path = lesson.folder("solutions") / edit.file
        if not path.is_file():
            raise UsageError(f"{lesson.mutants}: mutant {mutant.name!r} changes {edit.file}, which does not exist")
        text = changed.get(path) or path.read_text()
        if (count := text.count(edit.find)) != 1:
            raise UsageError(
                f"{lesson.mutants}: mutant {mutant.name!r} finds its text {count} times in {edit.file}, not once"
            )
        changed[path] = text.replace(edit.find, edit.replace)
    return {path: text.encode() for path, text in changed.items()}
