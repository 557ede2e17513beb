"""What was proven of a lesson, and on which bytes: one readable file a lesson, tests/proofs/NN-slug.json.

A proof that failed and then passed on the same bytes is flaky: it keeps both results, and runs each time until those
bytes change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.course import files
from harness.course.catalog import Lesson
from harness.errors import UsageError
from harness.protocol import codec
from harness.protocol.frames import WireError

FOLDER = Path("tests/proofs")
WHOLE = "whole.json"


@dataclass(frozen=True)
class Place:
    """The guest that a proof ran in."""

    kernel: str
    """Release, such as 6.12.118+deb13-cloud-amd64."""
    arch: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One proof, as it was seen last."""

    proof: str
    """Its name within the lesson, such as `mutant plain-addition`."""
    digest: str
    """Of all that it depends on (harness.authoring.depends)."""
    kernel: str
    arch: str
    when: str
    """UTC, ISO 8601."""
    seconds: float
    passed: bool
    failures: tuple[str, ...] = ()
    """What it said when it failed on these bytes, oldest first."""

    @property
    def place(self) -> Place:
        return Place(self.kernel, self.arch)

    @property
    def flaky(self) -> bool:
        """It failed and passed on the same bytes."""
        return self.passed and bool(self.failures)


@dataclass
class Ledger:
    """The entries of one lesson; several places can have one of the same proof."""

    path: Path
    entries: dict[tuple[str, Place], Entry] = field(default_factory=dict)

    @classmethod
    def load(cls, lesson: Lesson) -> Ledger:
        """The lesson's ledger, empty where there is none; UsageError where it cannot be read."""
        path = lesson.root / FOLDER / f"{lesson.name}.json"
        if not files.exists(path):
            return cls(path)
        try:
            found = [codec.build(Entry, one) for one in json.loads(files.read(path))]
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"{path}: {error}", remedy="make prove") from error
        return cls(path, {(one.proof, one.place): one for one in found})

    def proven(self, proof: str, digest: str, place: Place) -> Entry | None:
        """The entry that makes a new run of the proof unnecessary."""
        found = self.entries.get((proof, place))
        return found if found and found.digest == digest and found.passed and not found.flaky else None

    def note(self, entry: Entry, why: str = "") -> None:
        """Remember a result and write the file; `why` says how it failed, if it did."""
        before = self.entries.get((entry.proof, entry.place))
        failures = before.failures if before and before.digest == entry.digest else ()
        if not entry.passed:
            failures = (*failures, f"{entry.when}: {why[:200]}")
        self.entries[entry.proof, entry.place] = replace(entry, failures=failures)
        self.write()

    def forget(self, known: set[str], place: Place) -> None:
        """Drop the place's entries of proofs that the lesson no longer has."""
        kept = {key: entry for key, entry in self.entries.items() if entry.proof in known or entry.place != place}
        if kept != self.entries:
            self.entries = kept
            self.write()

    def write(self) -> None:
        """The file, whole or not at all: an entry a line, so that a change of one shows as one."""
        rows = [json.dumps(codec.plain(one)) for _, one in sorted(self.entries.items(), key=lambda item: str(item[0]))]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write(self.path, ("[\n" + ",\n".join(rows) + "\n]\n").encode())


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The last time that everything was proven in one go."""

    harness: str
    """Digest of the harness's parts that can change a verdict."""
    kernel: str
    arch: str
    when: str


def whole(root: Path) -> list[Whole]:
    """The whole proofs of a checkout, one for each place."""
    path = root / FOLDER / WHOLE
    if not files.exists(path):
        return []
    try:
        return [codec.build(Whole, one) for one in json.loads(files.read(path))]
    except (WireError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: {error}", remedy="make prove") from error


def note_whole(root: Path, done: Whole) -> None:
    """Remember a whole proof; it replaces the one of the same place."""
    others = [one for one in whole(root) if (one.kernel, one.arch) != (done.kernel, done.arch)]
    rows = [json.dumps(codec.plain(one)) for one in [*others, done]]
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    files.write(root / FOLDER / WHOLE, ("[\n" + ",\n".join(rows) + "\n]\n").encode())


def flaky(ledgers: Mapping[str, Ledger]) -> list[str]:
    """Lesson and proof, of each flaky one, with what it said."""
    return [
        f"{name}: {entry.proof}: {entry.failures[-1]}"
        for name, ledger in ledgers.items()
        for entry in ledger.entries.values()
        if entry.flaky
    ]
