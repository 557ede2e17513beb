"""What a proof depends on, as a digest: decided here alone. Rather too much than too little.

Of the lesson: lesson.toml, its hints, its tests, each file beside them that is not the learner's, the solution; for a
mutant also its entry, for an oracle all of tests/oracles that can travel, for a page its examples and the harness as a
whole. Of the harness: what runs in the guest, with the locked pytest, and the host's rooms that can change a verdict.
Left out: words alone (explain's rules, pages, the command line), and the learner's files, which no proof reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import harness
from harness.course import files, mutants
from harness.course.catalog import Lesson, Step
from harness.course.mutants import Mutant
from harness.lab.image import initramfs, recipe, target
from harness.run.payload import SOURCES

ROOMS = ("course", "explain", "lab", "run")
MODULES = ("errors.py", "authoring/depends.py", "authoring/proving.py", "learner/judge.py")


@cache
def of_harness() -> str:
    """The harness's parts that can change a verdict, and the recipes of all guests."""
    package = Path(harness.__file__).parent
    paths = [path for room in ROOMS for path in package.glob(f"{room}/**/*.py")] + [package / one for one in MODULES]
    own = {str(path.relative_to(package)): path.read_bytes() for path in paths}
    script = {"init": initramfs.script_source().encode()}
    return _digest(own | initramfs.guest_code() | script, [recipe.of(one).digest() for one in target.every()])


def of_lesson(lesson: Lesson) -> str:
    """The lesson's files, with the harness."""
    beside = [
        path
        for path in sorted(lesson.folder().iterdir())
        if path.suffix in SOURCES and path.name not in lesson.edited and path.is_file() and not path.is_symlink()
    ]
    solution = [lesson.folder("solutions") / name for name in lesson.edited]
    hints = [lesson.hints] if files.exists(lesson.hints) else []  # they name the mutant of the learner's test
    paths = [lesson.folder() / "lesson.toml", *hints, *beside, *solution]
    return _digest({str(path.relative_to(lesson.root)): files.read(path) for path in paths}, [of_harness()])


def of_oracle(lesson: Lesson) -> str:
    """The oracle and the programs that travel with it."""
    paths = [lesson.oracle, *sorted(lesson.oracle.parent.glob("*.c"))]
    return _digest({path.name: files.read(path) for path in paths}, [of_lesson(lesson)])


def of_page(lesson: Lesson) -> str:
    """The page, its examples, and the whole harness: any part of it may print, or choose what is printed."""
    examples = lesson.root / "docs/examples" / lesson.name
    paths = [lesson.page, *(path for path in sorted(examples.rglob("*")) if path.is_file())]
    return _digest({path.name: files.read(path) for path in paths}, [of_lesson(lesson), _of_all_of_the_harness()])


@cache
def _of_all_of_the_harness() -> str:
    package = Path(harness.__file__).parent
    shown = [path for path in package.rglob("*") if path.suffix in (".py", ".toml")]
    return _digest({str(path.relative_to(package)): path.read_bytes() for path in shown}, [])


def of_mutant(lesson: Lesson, mutant: Mutant) -> str:
    """The mutant's entry; what it says is part of it."""
    return _digest({}, [of_lesson(lesson), repr(mutant)])


def of_step(lesson: Lesson, step: Step) -> str:
    """The step; with the mutants that its test must catch, if it is a test."""
    decisive = mutants.decisive(mutants.load(lesson), step) if step.mutant else []
    return _digest({}, [of_lesson(lesson), repr(step.number), *map(repr, decisive)])


def _digest(contents: Mapping[str, bytes], words: Iterable[str]) -> str:
    found = hashlib.sha256()
    for name, content in sorted(contents.items()):
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    for word in words:
        found.update(f"{len(word)}\0{word}".encode())
    return found.hexdigest()[:16]
