"""The change that an advice means, as lines of the learner's own text, so that it can be tried on a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.explain import declared

ENDS = (";", "{", "}", ":")
"""How a row ends after which a statement can begin."""
HEAD = re.compile(r"^\s*(?:\}\s*)?(?:else\b\s*)?(?:(?:if|for|while)\b.*\)\s*|else\s*)?$")
RETURN = re.compile(r"\breturn\b[^;{}]*;")
CLEARED = "ringbuf_submit", "ringbuf_discard"


@dataclass(frozen=True)
class Change:
    """Rows that take the place of lines of one file."""

    path: Path
    lines: tuple[tuple[int, tuple[str, ...]], ...]
    """Line, from 1 → the rows instead; in order, no line twice."""

    def applied(self, text: str) -> str:
        """`text` with the change in it."""
        rows, new = text.splitlines(keepends=True), dict(self.lines)
        return "".join(
            "".join(f"{one}\n" for one in new[number]) if number in new else row for number, row in enumerate(rows, 1)
        )

    def rows(self, text: str) -> list[tuple[int, str]]:
        """The rows that are new in `text`, each with its line there."""
        old, shift, found = text.splitlines(), 0, []
        for line, rows in self.lines:
            for step, row in enumerate(rows):
                if row != old[line - 1]:
                    found.append((line + shift + step, row))
            shift += len(rows) - 1
        return found


def before(own: str, path: Path, line: int, *statements: str) -> Change | None:
    """`statements` before the one that `line` is in; None where that is unknown."""
    rows = own.splitlines()
    first = _begin(rows, line)
    if first is None:
        return None
    row = rows[first - 1]
    indent = row[: len(row) - len(row.lstrip())]
    added = tuple(f"{indent}{statement}" for statement in statements)
    if not _is_alone(rows, first):
        return Change(path, ((first, (*added, row)),))
    last = next((n for n in range(first, len(rows) + 1) if declared.code(rows[n - 1]).rstrip().endswith(";")), None)
    if last is None or last > line + 3:
        return None  # the only statement of an if is a block of its own
    whole = [*added, *rows[first - 1 : last]]
    whole[0], whole[-1] = f"{indent}{{ {whole[0].lstrip()}", f"{whole[-1]} }}"
    return Change(path, tuple((n, tuple(whole) if n == first else ()) for n in range(first, last + 1)))


def instead(own: str, path: Path, line: int, *rows: str) -> Change | None:
    """`rows` in place of `line`; None where nothing would change."""
    old = own.splitlines()[line - 1]
    return None if rows == (old,) else Change(path, ((line, rows),))


def renamed(own: str, path: Path, line: int, old: str, new: str) -> Change | None:
    """`new` for the word `old` in `line`, in its strings too."""
    row = own.splitlines()[line - 1]
    return instead(own, path, line, re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, row))


def swapped(own: str, path: Path, line: int, old: str, new: str) -> Change | None:
    """`new` for the first `old` in `line`; in C for a name's address, in each line that hands it to a map's method."""
    rows = own.splitlines()
    if not 0 < line <= len(rows) or old not in rows[line - 1]:
        return None
    given = re.compile(rf"\.\s*\w+\s*\(\s*{re.escape(old)}\b") if old.startswith("&") else None
    where = [n for n in declared.function_of(own, line) if given.search(rows[n - 1])] if given else [line]
    return Change(path, tuple((n, (rows[n - 1].replace(old, new, 1),)) for n in where)) if where else None


def included(own: str, path: Path, header: str) -> Change | None:
    """An #include of `header` after the others."""
    rows = own.splitlines()
    last = next((n for n in range(len(rows), 0, -1) if re.match(r"\s*#\s*include\b", rows[n - 1])), None)
    if last is not None:
        return Change(path, ((last, (rows[last - 1], f"#include <{header}>")),))
    if not rows or path.suffix == ".py":
        return None
    return Change(path, ((1, (f"#include <{header}>", rows[0])),))


def discarded(own: str, path: Path, line: int, name: str, ring: str) -> Change | None:
    """A ringbuf_discard on each path after `line` that returns with the reservation `name`."""
    rows, found = own.splitlines(), []
    for number in declared.function_of(own, line):
        row = declared.code(rows[number - 1])
        above = declared.code(rows[number - 2])
        if number <= line or not RETURN.search(row) or re.search(rf"!\s*{re.escape(name)}\b", f"{above} {row}"):
            continue
        if not any(word in f"{above} {row}" for word in CLEARED):
            give_back = f"{{ {ring}.ringbuf_discard({name}, 0); \\g<0> }}"
            found.append((number, (RETURN.sub(give_back, rows[number - 1]),)))
    return Change(path, tuple(found)) if found else None


def of_words(rule: str, words: Mapping[str, str], own: str, path: Path | None, line: int | None) -> Change | None:
    """The change that a rule's own words mean: another name, a header, another type; None where they mean none."""
    rows = own.splitlines()
    if path is None or not rows:
        return None
    if words.get("header") and not words["header"].endswith("…"):
        return included(own, path, words["header"])
    if rule == "key-size" and words.get("at", "").isdigit() and words.get("got_type"):
        return renamed(own, path, int(words["at"]), words["got_type"], words["declared"])
    if rule == "gpl-only":
        licensed = next((n for n, row in enumerate(rows, 1) if re.match(r"\s*#\s*define\s+BPF_LICENSE\b", row)), None)
        return instead(own, path, licensed, "#define BPF_LICENSE GPL") if licensed else None
    meant = re.search(r"did you mean ([\w:. ]+)\?", words.get("near", ""))
    names = [words[key] for key in ("name", "other", "tag", "event") if words.get(key)]
    if meant is None or not names or not line or line > len(rows):
        return None
    old, new = names[0], meant[1]
    if ":" in new:  # a tracepoint: its event, or else its category
        pairs = zip(
            (words.get("category", ""), words.get("event") or old.rpartition(":")[2]), new.split(":"), strict=True
        )
        old, new = next((pair for pair in pairs if pair[0] and pair[0] != pair[1]), (old, new))
    if not re.search(rf"(?<!\w){re.escape(old)}(?!\w)", rows[line - 1]):  # a variable holds the name
        named = [n for n, row in enumerate(rows, 1) if re.search(rf"[\"']{re.escape(old)}[\"']", row)]
        line = named[0] if len(named) == 1 else line
    return renamed(own, path, line, old, new)


def _begin(rows: list[str], line: int) -> int | None:
    """The first line of the statement that `line` is in."""
    for number in range(line, max(0, line - 8), -1):
        above = next(
            (row for row in (declared.code(r).rstrip() for r in rows[number - 2 :: -1] if number > 1) if row), ""
        )
        if above.lstrip().startswith("#") or above.endswith(ENDS) or HEAD.match(above):
            return number
    return None


def _is_alone(rows: list[str], first: int) -> bool:
    """Whether the statement is the only one of an if, else or loop without braces."""
    above = declared.code(rows[first - 2]).strip() if first > 1 else ""
    return bool(above) and not above.endswith(ENDS) and HEAD.match(above) is not None
