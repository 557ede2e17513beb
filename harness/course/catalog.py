"""The lessons that there are: found by looking, so that a new directory is a new lesson."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError

FOLDER = re.compile(r"(\d\d)-([a-z0-9-]+)")
KEYS = {"title", "topic", "teaches", "needs", "demo", "step"}
STEP_KEYS = {"title", "hints", "mutant"}
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
    """What `run` gives the loader where the learner gives nothing: something to watch: the guest is idle."""

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
        return tuple(name for name in names if (self.folder("solutions") / name).exists())

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
    def oracle(self) -> Path:
        """The tests that compare the reference with an independent witness."""
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


def lessons(root: Path) -> list[Lesson]:
    """All lessons, by number. UsageError names the first lesson.toml that is wrong."""
    return [load(path.parent) for path in sorted(root.glob("lessons/*/lesson.toml"))]


def load(folder: Path) -> Lesson:
    """The lesson in `folder`."""
    match = FOLDER.fullmatch(folder.name)
    path = folder / "lesson.toml"
    if match is None:
        raise UsageError(f"{folder}: a lesson's folder is named NN-slug")
    try:
        data = tomllib.loads(path.read_text())
        _check_keys(data, KEYS)
        steps = tuple(_step(number, entry) for number, entry in enumerate(data["step"], 1))
        return Lesson(
            root=folder.parent.parent,
            number=match[1],
            slug=match[2],
            title=data["title"],
            topic=data["topic"],
            teaches=tuple(data["teaches"]),
            needs=tuple(data["needs"]),
            steps=steps,
            demo=tuple(data.get("demo", ())),
        )
    except KeyError as error:
        raise UsageError(f"{path}: {error.args[0]!r} is missing") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error


def _step(number: int, entry: dict[str, Any]) -> Step:
    _check_keys(entry, STEP_KEYS)
    return Step(number, entry["title"], tuple(entry["hints"]), entry.get("mutant"))


def _check_keys(data: dict[str, Any], known: set[str]) -> None:
    for key in data:
        if key not in known:
            raise ValueError(f"unknown key {key!r} (known: {', '.join(sorted(known))})")


def pick(found: list[Lesson], wanted: str) -> Lesson:
    """The lesson named by number (3, 03), slug, folder or topic; UsageError lists what there is."""
    number = wanted.zfill(2)
    exact = [x for x in found if wanted in (x.slug, x.name, x.topic) or x.number == number]
    partly = exact or [x for x in found if wanted.lower() in f"{x.name} {x.topic} {x.title}".lower()]
    if len(partly) == 1:
        return partly[0]
    names = ", ".join(x.name for x in partly or found)
    problem = "names more than one lesson" if partly else "names no lesson"
    raise UsageError(f"{wanted!r} {problem}: {names}", remedy="workbook list")
