"""What one run over one lesson is to do: its files, its tests, its TODOs. Verdicts read these bytes, never the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.course import files, regions, specification, stubs
from harness.course.catalog import Lesson
from harness.course.regions import Region
from harness.course.stubs import Hole
from harness.lab.guest import Deadlines
from harness.protocol.messages import Run
from harness.protocol.names import LEARNERS_TEST, function_of
from harness.run import payload


@dataclass(frozen=True, kw_only=True)
class Request:
    """One run."""

    lesson: Lesson
    code: Path
    """The folder whose loader.py is under test."""
    files: Mapping[Path, bytes]
    """Absolute path → content, of all that travels."""
    tests: tuple[Path, ...]
    """Test files, absolute."""
    functions: Mapping[str, int | None]
    """Node id of each test function that runs → its step; read from the files' syntax trees."""
    holes: Mapping[int, Hole] = field(default_factory=dict)
    """Step → its TODO, of those that the learner has not touched."""
    regions: Mapping[int, Region] = field(default_factory=dict)
    """Step → where its TODO's code is in the learner's files; empty on a run of the reference."""
    wanted: tuple[str, ...] = ()
    """Node ids, where only some cases of the functions run."""
    options: tuple[str, ...] = ()
    """Further arguments for the guest's pytest."""
    seed: int = 0
    open_step: int | None = None
    """A step that is known to be open: tests of later ones wait."""
    measure: bool = False
    """Report what the programs cost."""

    @property
    def root(self) -> Path:
        """pytest's root directory; node ids are relative to it."""
        return self.lesson.root

    def message(self, deadlines: Deadlines) -> Run:
        """What the guest is asked."""
        return Run(
            root=str(self.root),
            code=str(self.code),
            tests=tuple(map(str, self.tests)),
            wanted=self.wanted or tuple(self.functions),
            options=self.options,
            seed=self.seed,
            wait_s=deadlines.wait_s,
            test_s=deadlines.test_s,
            open_step=self.open_step,
            holes=tuple(sorted(self.holes)),
            measure=self.measure,
        )

    def step_of(self, nodeid: str) -> int | None:
        """The step of a test; KeyError where no such test runs."""
        return self.functions[function_of(nodeid)]

    def restricted(self, wanted: tuple[str, ...]) -> Request:
        """Restricted to these node ids, of functions or of single cases."""
        functions = {function_of(nodeid) for nodeid in wanted}
        kept = {nodeid: step for nodeid, step in self.functions.items() if nodeid in functions}
        return replace(self, wanted=wanted, functions=kept)

    def going_on(self, left: tuple[str, ...], open_step: int | None) -> Request:
        """What is left of it in another guest, where `open_step` is known to be open."""
        return replace(self.restricted(left), open_step=open_step)

    def without(self, file: Path) -> Request:
        """Without a test file that cannot be read."""
        begin = f"{file.relative_to(self.root)}::"
        return replace(
            self,
            tests=tuple(path for path in self.tests if path != file),
            functions={nodeid: step for nodeid, step in self.functions.items() if not nodeid.startswith(begin)},
            wanted=tuple(nodeid for nodeid in self.wanted if not nodeid.startswith(begin)),
        )


def is_mine(nodeid: str) -> bool:
    """Whether the test is the learner's own."""
    return Path(nodeid.split("::")[0]).name == LEARNERS_TEST


def of_lesson(
    lesson: Lesson,
    tree: str,
    *,
    tests: tuple[Path, ...] = (),
    options: tuple[str, ...] = (),
    seed: int = 0,
    replaced: Mapping[Path, bytes] | None = None,
    measure: bool = False,
) -> Request:
    """The run of a lesson's tests against `tree`; `replaced` files take precedence.

    By default all of its tests: the specification, and the learner's own.
    """
    code = payload.folder_of(lesson, tree)
    tests = tests or tuple(path for path in (lesson.folder() / LEARNERS_TEST, lesson.tests) if files.exists(path))
    travels = payload.of_lesson(lesson, lesson.folder(), tests)
    if tree != "lessons":
        travels |= payload.of_lesson(lesson, code, tests)
    travels |= replaced or {}
    return Request(
        lesson=lesson,
        code=code,
        files=travels,
        tests=tests,
        functions={nodeid: step for path in tests for nodeid, step in _functions(lesson, path, travels)},
        holes=stubs.holes_in(lesson, travels, code) if tree == "lessons" else {},  # a reference has none
        regions=regions.regions_in(lesson, travels, code) if tree == "lessons" else {},
        options=options,
        seed=seed,
        measure=measure,
    )


def _functions(lesson: Lesson, path: Path, travels: Mapping[Path, bytes]) -> list[tuple[str, int | None]]:
    file = path.relative_to(lesson.root)
    return [(f"{file}::{one.name}", one.step) for one in specification.functions(travels.get(path, b""))]


def reference(lesson: Lesson) -> Request:
    """The run of all tests on the reference, its own answer to the learner's test included."""
    mine = lesson.folder("solutions") / LEARNERS_TEST
    replaced = {lesson.folder() / LEARNERS_TEST: files.read(mine)} if files.exists(mine) else {}
    return of_lesson(lesson, "solutions", replaced=replaced)
