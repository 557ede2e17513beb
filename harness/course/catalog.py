"""The lessons that there are: found by looking, so that a new directory is a new lesson."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.course import files
from harness.course.tables import Table
from harness.errors import UsageError

FOLDER = re.compile(r"([0-9]{2})-([a-z0-9-]+)")
KEYS = {"title", "topic", "track", "after", "teaches", "needs", "demo", "step"}
BASICS = "basics"
TRACKS = {BASICS: "The basics", "advanced": "The advanced track"}
"""Each track's title, in the order in which learners take them."""
STEP_KEYS = {"title"}
HINT_KEYS = {"hints", "mutant"}
EDITED = ("loader.py", "{stem}.bpf.c", "test_mine.py")


@dataclass(frozen=True)
class Step:
    """One TODO of a lesson."""

    number: int
    title: str
    hints: tuple[str, ...]
    mutant: str | None = None
    """Name of the known-wrong answer that the learner's own test must catch; None for a step in the code."""


@dataclass(frozen=True)
class Lesson:
    """What lesson.toml says, and where the lesson's files are."""

    root: Path
    number: str
    slug: str
    title: str
    topic: str
    teaches: tuple[str, ...]
    needs: tuple[str, ...]
    steps: tuple[Step, ...]
    demo: tuple[str, ...] = ()
    """Default arguments for `workbook run`: something to watch, since the guest is idle."""
    track: str = BASICS
    """A key of TRACKS."""
    after: str = ""
    """Number of the lesson that should be done before; empty where the one in front of it is enough."""

    @property
    def name(self) -> str:
        """Folder name, such as 01-hello-kprobe."""
        return f"{self.number}-{self.slug}"

    @property
    def stem(self) -> str:
        """The slug as part of a Python module's name."""
        return self.slug.replace("-", "_")

    def folder(self, tree: str = "lessons") -> Path:
        """The lesson's folder in `tree`."""
        return self.root / tree / self.name

    @property
    def edited(self) -> tuple[str, ...]:
        """Names of the files that the learner edits and the reference completes."""
        names = [name.format(stem=self.stem) for name in EDITED]
        return tuple(name for name in names if files.exists(self.folder("solutions") / name))

    @property
    def program(self) -> Path:
        """The kernel's half of the reference."""
        return self.folder("solutions") / f"{self.stem}.bpf.c"

    @property
    def tests(self) -> Path:
        """The test file that is the specification."""
        return self.folder() / f"test_{self.stem}.py"

    @property
    def page(self) -> Path:
        return self.root / "docs" / f"{self.name}.md"

    @property
    def mutants(self) -> Path:
        return self.root / "tests" / "mutants" / f"{self.name}.toml"

    @property
    def hints(self) -> Path:
        """Hints and mutants of the steps: not beside what the learner reads, which they would give away."""
        return hints_of(self.folder())

    @property
    def oracle(self) -> Path:
        """The tests that compare the reference with an independent tool."""
        return self.root / "tests" / "oracles" / f"{self.name}.py"


def find_root(start: Path) -> Path:
    """The checkout that `start` is in, or else the one that this package was installed from."""
    for folder in [start, *start.parents]:
        if (folder / "lessons").is_dir() and (folder / "solutions").is_dir():
            return folder
    installed = Path(__file__).resolve().parents[2]
    if (installed / "lessons").is_dir():
        return installed
    raise UsageError("this is not a checkout of the workbook", remedy="cd into it")


@dataclass(frozen=True)
class Course:
    """All lessons of a checkout, in their order."""

    root: Path
    lessons: tuple[Lesson, ...]

    @classmethod
    def load(cls, root: Path) -> Course:
        """The course in `root`; UsageError names the first lesson.toml that is wrong."""
        folders = sorted(path for path in (root / "lessons").glob("*") if files.exists(path / "lesson.toml"))
        found = cls(root, tuple(load(folder) for folder in folders))
        for lesson in found:
            found.required(lesson)
        return found

    def __iter__(self) -> Iterator[Lesson]:
        return iter(self.lessons)

    def __len__(self) -> int:
        return len(self.lessons)

    def index(self, lesson: Lesson) -> int:
        """Where `lesson` comes, from 0; UsageError where it is not of this course."""
        for index, one in enumerate(self.lessons):
            if one.name == lesson.name:
                return index
        raise UsageError(f"{lesson.name} is not a lesson of this course", remedy="workbook list")

    def earlier(self, lesson: Lesson) -> tuple[Lesson, ...]:
        """All lessons before `lesson`, in their order."""
        return self.lessons[: self.index(lesson)]

    def before(self, lesson: Lesson) -> Lesson | None:
        """The lesson before `lesson`; None for the first."""
        return next(reversed(self.earlier(lesson)), None)

    def after(self, lesson: Lesson) -> Lesson | None:
        """The lesson after `lesson`; None for the last."""
        return next(iter(self.lessons[self.index(lesson) + 1 :]), None)

    def required(self, lesson: Lesson) -> Lesson | None:
        """The lesson that `lesson` names in `after`; UsageError where none before it has that number."""
        if not lesson.after:
            return None
        for one in self.earlier(lesson):
            if one.number == lesson.after:
                return one
        path = lesson.folder() / "lesson.toml"
        raise UsageError(f"{path}: 'after' is {lesson.after!r}, which is the number of no lesson before this one")

    def pick(self, wanted: str) -> Lesson:
        """The lesson named by number (3, 03), slug, folder or topic; UsageError lists what there is."""
        number = wanted.zfill(2)
        exact = [x for x in self if wanted in (x.slug, x.name, x.topic) or x.number == number]
        partly = exact or [x for x in self if wanted.lower() in f"{x.name} {x.topic} {x.title}".lower()]
        if len(partly) == 1:
            return partly[0]
        names = ", ".join(x.name for x in partly or self)
        problem = "names more than one lesson" if partly else "names no lesson"
        raise UsageError(f"{wanted!r} {problem}: {names}", remedy="workbook list")


def by_track(lessons: Iterable[Lesson]) -> list[tuple[str, list[Lesson]]]:
    """Title and lessons of each track that has lessons here; tracks and lessons in their order."""
    found: dict[str, list[Lesson]] = {track: [] for track in TRACKS}
    for lesson in lessons:
        found[lesson.track].append(lesson)
    return [(TRACKS[track], those) for track, those in found.items() if those]


def load(folder: Path) -> Lesson:
    """The lesson in `folder`; UsageError says what is wrong with its name or its lesson.toml."""
    match = FOLDER.fullmatch(folder.name)
    if match is None:
        raise UsageError(f"{folder}: a lesson's folder is named NN-slug")
    table = Table.load(folder / "lesson.toml", KEYS)
    steps = _steps(table, hints_of(folder))
    track = table.line("track") if table.has("track") else BASICS
    if track not in TRACKS:
        raise table.wrong(f"'track' is {track!r}, expected one of {', '.join(TRACKS)}")
    return Lesson(
        root=folder.parent.parent,
        number=match[1],
        slug=match[2],
        title=table.line("title"),
        topic=table.line("topic"),
        teaches=table.lines("teaches"),
        needs=table.lines("needs"),
        steps=steps,
        demo=table.lines("demo") if table.has("demo") else (),
        track=track,
        after=table.line("after") if table.has("after") else "",
    )


def hints_of(folder: Path) -> Path:
    """The file with the hints of the lesson in `folder`."""
    return folder.parent.parent / "tests" / "hints" / f"{folder.name}.toml"


def _steps(table: Table, path: Path) -> tuple[Step, ...]:
    """The steps of a lesson.toml, with what `path`, where it is there, says of each."""
    titles = [one.line("title") for one in table.tables("step", STEP_KEYS)]
    if not titles:
        raise table.wrong("there is no step")
    if not files.exists(path):
        return tuple(Step(number, title, ()) for number, title in enumerate(titles, 1))
    hints = Table.load(path, {"step"})
    more = hints.tables("step", HINT_KEYS)
    if len(more) != len(titles):
        raise hints.wrong(f"{len(more)} steps, expected {len(titles)} as in {table.path}")
    return tuple(
        Step(number, title, one.lines("hints"), one.line("mutant") if one.has("mutant") else None)
        for number, (title, one) in enumerate(zip(titles, more, strict=True), 1)
    )
