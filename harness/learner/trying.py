"""`workbook explain --try`: the change that an advice means, made in a copy of the program, loaded or run in the lab.

Only the copy is changed, and it exists in the guest alone. A line of a lesson's TODO is not tried: what helps there is
the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from harness.course import regions
from harness.course.catalog import Course
from harness.errors import GuestLost
from harness.explain import limits
from harness.explain.change import Change
from harness.explain.explanation import Explanation
from harness.protocol.facts import Gathered

FOLDER = Path("/tried")
"""In the guest: each copy has a folder of its own below it, with the files that stand beside the program."""
CHANGES_MAX = 2
"""Of one explanation."""
STAGES = ("compile", "load", "attach", "run", "silent", "ok")
"""In the order in which a program reaches them."""

Run = Callable[[Sequence[Path], Mapping[Path, bytes]], Sequence[Gathered | GuestLost]]
"""What the lab gathers of programs in files."""
Say = Callable[[Gathered, Mapping[Path, bytes]], Explanation]


@dataclass(frozen=True)
class Trial:
    """One change in one copy."""

    of: int
    """Which explanation it belongs to."""
    program: Path
    """The copy that is loaded or run."""
    change: Change
    sent: Mapping[Path, bytes]


def tried(
    found: Sequence[Explanation], programs: Sequence[Path | None], sent: Mapping[Path, bytes], run: Run, say: Say
) -> list[Explanation]:
    """The same explanations, with what happened when their changes were tried, all in one guest.

    `programs`: the file that each is of; None for a log, of which there is nothing to run.
    """
    texts = {path: text.decode(errors="replace") for path, text in sent.items()}
    trials: list[Trial] = []
    result = list(found)
    for number, (one, program) in enumerate(zip(found, programs, strict=True)):
        changes = [change for change in one.changes if _is_whole(change, texts)]
        if program is None or not changes:
            continue
        if todo := next(filter(None, (_todo(change, sent) for change in changes)), None):
            result[number] = replace(one, tried=f"not tried: what helps here is the answer to TODO {todo}")
            continue
        for change in islice(changes, CHANGES_MAX):
            trials.append(_trial(number, len(trials), program, change, sent))
    copies = {path: text for trial in trials for path, text in trial.sent.items()}
    gathered = run([trial.program for trial in trials], copies) if trials else ()
    for trial, after in zip(trials, gathered, strict=True):
        before = result[trial.of]
        if before.helped:
            continue
        outcome = None if isinstance(after, GuestLost) else say(after, trial.sent)
        result[trial.of] = _told(found[trial.of], outcome, trial, texts, before.tried)
    return result


def _trial(of: int, number: int, program: Path, change: Change, sent: Mapping[Path, bytes]) -> Trial:
    folder = FOLDER / str(number)
    beside = {path: text for path, text in sent.items() if path.parent == program.parent and _belongs(path, program)}
    beside[change.path] = change.applied(sent[change.path].decode(errors="replace")).encode()
    moved = {folder / path.name: text for path, text in beside.items()}
    return Trial(of, folder / program.name, change, moved)


def _belongs(path: Path, program: Path) -> bool:
    """Whether a program may need the file: a script any C file, a C file headers alone."""
    return path == program or program.suffix == ".py" or path.suffix == ".h"


def _is_whole(change: Change, texts: Mapping[Path, str]) -> bool:
    """Whether the explanation saw the lines that it changes as they are, and did not cut them."""
    rows = texts.get(change.path, "").splitlines()
    return all(0 < line <= len(rows) and len(rows[line - 1]) <= limits.LINE_MAX for line, _ in change.lines)


def _todo(change: Change, sent: Mapping[Path, bytes]) -> int | None:
    """The number of the TODO whose region a change touches, in a lesson's own files."""
    folder = change.path.parent
    if folder.parent.name != "lessons":
        return None
    lessons = [one for one in Course.load(folder.parent.parent) if one.folder() == folder]
    for lesson in lessons:
        mine = regions.regions_in(lesson, sent, folder)
        for line, _ in change.lines:
            if region := regions.at(mine, change.path, line):
                return region.number
    return None


def _told(
    before: Explanation, after: Explanation | None, trial: Trial, texts: Mapping[Path, str], earlier: str
) -> Explanation:
    """The explanation with the outcome; an advice of which nothing helped is taken out of it.

    `earlier`: what was said of a change of the same advice that did not help.
    """
    rows = trial.change.rows(texts[trial.change.path])
    shown = _shown(rows)
    if after is not None and _is_further(before, after, rows):
        return replace(before, tried=f"{_outcome(before, after, trial)}\n{shown}", helped=True)
    again = "the lab was lost with it" if after is None else _what(after, trial)
    words = f"this change does not help: {again}\n{shown}"
    return replace(before, tried="\n".join(filter(None, [earlier, words])), helped=False, advice="")


def _shown(rows: Sequence[tuple[int, str]]) -> str:
    """The new rows with their lines, indented against each other alone."""
    indents = [len(row) - len(row.lstrip()) for _, row in rows if row.strip()]
    return "\n".join(f"    {number} + {row[min(indents, default=0) :].rstrip()}" for number, row in rows if row.strip())


def _outcome(before: Explanation, after: Explanation, trial: Trial) -> str:
    verb = "runs" if trial.program.suffix == ".py" else "loads"
    if after.kind == "ok":
        return f"with this change it {verb}, and nothing wrong is found"
    if after.kind == "silent":
        return f"with this change it loads; then: {_what(after, trial)}"
    return f"this change helps; the next fault is: {_what(after, trial)}"


def _what(found: Explanation, trial: Trial) -> str:
    """What is said of a copy, with the folder of the program itself."""
    line = f"line {found.line}: " if found.line else ""
    return f"{line}{found.cause}".replace(f"{trial.program.parent}/", f"{trial.change.path.parent}/")


def _is_further(before: Explanation, after: Explanation, rows: Sequence[tuple[int, str]]) -> bool:
    """Whether a program got further with a change: to a later stage, or to another fault in a line that was there."""
    if after.kind not in STAGES or before.kind not in STAGES:
        return False
    if after.kind != before.kind:
        return STAGES.index(after.kind) > STAGES.index(before.kind)
    same = (before.rule, before.source.strip()) == (after.rule, after.source.strip())
    return not same and bool(after.rule) and after.source not in [row for _, row in rows]
