"""How far the learner is: one small file in the checkout, keyed by slug, never half written, never thrown away."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import filelock

from harness.course import files
from harness.course.catalog import Course, Lesson
from harness.errors import UsageError

T = TypeVar("T", int, str)
FOLDER = ".workbook"
"""In the checkout, ignored by git: progress, and what `reset` kept."""
FILE = "progress.json"
VERSION = 1
COUNT_MAX = 1_000_000
"""No step, hint or number of them that this version writes comes near."""
STEP_DIGITS_MAX = 6


@dataclass(frozen=True)
class Standing:
    """What is remembered of one lesson."""

    verdict: str = ""
    """Of the last check's first open step; "done" when there was none; empty before the first check."""
    steps_done: int = 0
    was_done: bool = False
    """The lesson was complete at some time."""
    when: str = ""
    """Of the last check, in ISO 8601."""
    begun: str = ""
    """When it was checked first; empty where an older version did that."""
    done_at: str = ""
    """When it was done first; empty where it was not, or an older version did that."""
    took_s: int = 0
    """Seconds of the last check; 0 where that is not known."""
    on: str = ""
    """The lab of the last check, where it was not the default one."""
    hints: dict[int, int] = field(default_factory=dict)
    """Step → hints shown."""
    hints_used: dict[int, int] = field(default_factory=dict)
    """Step → hints shown before the lesson was done."""
    refused_in: int = 0
    """The TODO that the last check named, where the program did not load; 0 otherwise."""
    judged: dict[int, str] = field(default_factory=dict)
    """Step that is a test of the learner's own → digest of what was judged when that was good."""


def folder(root: Path) -> Path:
    """The learner's own folder in the checkout, made if need be; UsageError where it cannot be."""
    path = root / FOLDER
    with _named_where_it_fails(root):
        path.mkdir(exist_ok=True)
    return path


def standing(lesson: Lesson) -> Standing:
    """What is remembered of `lesson`; UsageError where the file may not be read."""
    with _named_where_it_fails(lesson.root):
        return _standing(_read(_file(lesson.root)).get("lessons", {}).get(lesson.slug))


def announced(lesson: Lesson) -> str:
    """That the lesson is being checked, and how long that took last time."""
    return f"checking {lesson.name}{last_time(lesson, standing(lesson).took_s)}"


def last_time(lesson: Lesson, took_s: int) -> str:
    """How long a check took, in brackets; empty where that is not known. Trying a new test on programs is not in it."""
    longer = ", longer with a new test of yours" if any(step.mutant for step in lesson.steps) else ""
    return f" ({took_s} s last time{longer})" if took_s else ""


def early(course: Course, lesson: Lesson) -> str:
    """A sentence where the lesson that `lesson` comes after was never done; else empty."""
    required = course.required(lesson)
    if required is None or standing(required).was_done:
        return ""
    return f"{lesson.name} comes after {required.name}, which is not done yet; make progress shows where you are"


def note_check(
    lesson: Lesson, verdict: str, steps_done: int, when: str, took_s: float = 0, on: str = "", refused_in: int = 0
) -> None:
    """Remember a check of the learner's code."""
    with _entry(lesson) as entry:
        entry.update(verdict=verdict, steps_done=steps_done, when=when, took_s=round(took_s), on=on)
        entry["refused_in"] = refused_in
        entry.setdefault("begun", when)
        if verdict == "done":
            entry.setdefault("done_at", when)
        entry["was_done"] = entry.get("was_done") is True or verdict == "done"


def note_hint(lesson: Lesson, step: int, level: int) -> None:
    """Remember that the first `level` hints of `step` were shown."""
    with _entry(lesson) as entry:
        known = standing(lesson).hints
        hints = _dictionary(entry, "hints")
        if entry.get("was_done") is True:
            entry.setdefault("hints_used", dict(hints))
        hints[str(step)] = max(level, known.get(step, 0))


def note_judged(lesson: Lesson, step: int, content: str) -> None:
    """Remember that the learner's own test of `step` was good, and a digest of it and of what judged it."""
    with _entry(lesson) as entry:
        _dictionary(entry, "judged")[str(step)] = content


@contextlib.contextmanager
def _entry(lesson: Lesson) -> Iterator[dict[str, Any]]:
    """The lesson's entry, to be changed in place; all that is not known here is kept as it is."""
    path = lesson.root / FOLDER / FILE
    with _named_where_it_fails(lesson.root), filelock.FileLock(_file(lesson.root).with_suffix(".lock")):
        data = _read(path)
        data.setdefault("version", VERSION)
        yield _dictionary(data.setdefault("lessons", {}), lesson.slug)
        files.write(path, _encoded(data))


def _dictionary(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The dictionary under `name`; what another version keeps there instead goes under a name of its own."""
    found = holder.setdefault(name, {})
    if not isinstance(found, dict):
        holder[f"{name} of another version"] = found
        found = holder[name] = {}
    return found


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) and value.isprintable() else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= COUNT_MAX else 0


def _encoded(data: dict[str, Any]) -> bytes:
    return json.dumps(data, indent=2, sort_keys=True).encode() + b"\n"


def _file(root: Path) -> Path:
    return folder(root) / FILE


@contextlib.contextmanager
def _named_where_it_fails(root: Path) -> Iterator[None]:
    """A file of another owner, a full disk: a sentence with the path, and nothing is overwritten."""
    try:
        yield
    except OSError as error:
        path = error.filename or root / FOLDER
        raise UsageError(
            f"your progress cannot be kept: {path}: {error.strerror or error}", remedy=f"ls -la {FOLDER}"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    """The file's content; one that cannot be read is renamed, never overwritten."""
    try:
        data = json.loads(path.read_bytes())
        if isinstance(data, dict) and isinstance(data.get("lessons", {}), dict):
            _encoded(data)  # what nests deeper than the encoder goes could be read, and never be written again
            return data
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        pass
    number = 1
    while (kept := path.with_name(f"progress.unreadable-{number}.json")).exists():
        number += 1
    path.rename(kept)
    return {}


def _standing(entry: Any) -> Standing:
    if not isinstance(entry, dict):
        return Standing()
    hints = _hints(entry.get("hints"))
    return Standing(
        verdict=_text(entry, "verdict"),
        steps_done=_count(entry.get("steps_done")),
        was_done=entry.get("was_done") is True,
        when=_text(entry, "when"),
        begun=_text(entry, "begun"),
        done_at=_text(entry, "done_at"),
        took_s=_count(entry.get("took_s")),
        on=_text(entry, "on"),
        hints=hints,
        hints_used=_hints(entry["hints_used"]) if "hints_used" in entry else hints,
        refused_in=_count(entry.get("refused_in")),
        judged=_by_step(entry.get("judged"), str),
    )


def _hints(found: Any) -> dict[int, int]:
    return {step: _count(level) for step, level in _by_step(found, int).items() if _count(level)}


def _by_step(found: Any, kind: type[T]) -> dict[int, T]:
    """What is kept for each step, as far as it is of the kind that this version writes."""
    if not isinstance(found, dict):
        return {}
    return {int(step): value for step, value in found.items() if _is_step(step) and isinstance(value, kind)}


def _is_step(key: str) -> bool:
    return key.isdecimal() and len(key) <= STEP_DIGITS_MAX  # "²" is a digit that int() refuses
