"""The places of a fault in a Python script: the name that was not found, and the line that gave it its value."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.explain import declared, limits, lines
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places

CALL_ROWS = 6
"""Rows of a call that are looked at."""
NAMES_MAX = 4
"""Names in one failure that are looked for."""
GIVEN = re.compile(r"\b(?:event|sym|name|tp|re|sym_re|dev|fn_name)\s*=\s*([A-Za-z_]\w*)\b(?!\s*[(.'\"])")
"""A variable that is passed for a name."""


def attached(evidence: Evidence, finding: Finding, own: str) -> Places:
    """What a probe was to be attached to, as the failure names it: in the call, or where its variable was set."""
    rows, first = own.splitlines(), finding.line or 0
    named = re.findall(r"(program )?b?'([^'\n]{1,100})'", finding.message)
    names = [name for program, name in named if not program]
    names += re.findall(r"(?:library|symbol|function|tracepoint) ([\w.:/-]+)", finding.message)
    names = names[:NAMES_MAX]
    for line in range(first, min(first + CALL_ROWS, len(rows) + 1)):
        row = limits.line(rows[line - 1])
        for name in names:
            if re.search(rf"[\"']{re.escape(name)}[\"']", row):
                return Places(name, line=line)
        for given in GIVEN.finditer(row):
            if set_in := _set(rows, given[1], names):
                where = f"{given[1]} comes from line {set_in}: {limits.line(rows[set_in - 1].strip())}"
                return Places(given[1], (where,), line=line)
        if row.rstrip().endswith(")"):
            break
    return Places()


def _set(rows: list[str], variable: str, names: list[str]) -> int | None:
    """The line in which one of the names is given to a variable, or else is passed on to a function."""
    named = [
        n for n, row in enumerate(rows, 1) if any(re.search(rf"[\"']{re.escape(name)}[\"']", row) for name in names)
    ]
    direct = [n for n in named if re.match(rf"\s*{re.escape(variable)}\s*(?::[^=]*)?=", rows[n - 1])]
    return next(iter(direct), named[0] if len(named) == 1 else None)


def raised(evidence: Evidence, finding: Finding, own: str) -> Places:
    """A callback's exception: a field that the event lacks, a key that is not there."""
    row = limits.line(own.splitlines()[(finding.line or 1) - 1])
    if found := re.search(r"has no attribute '(\w+)'", finding.message):
        structures = [*lines.structures(evidence.own)] if evidence.path != finding.path else []
        if len(structures) != 1 or evidence.path is None:
            return Places(found[1])
        ((name, body),) = structures
        at = next(n for n, one in enumerate(evidence.own.splitlines(), 1) if re.search(rf"\bstruct\s+{name}\b", one))
        has = declared.fields(body)
        return Places(found[1], (f"struct {name}, {evidence.path.name} line {at}, has {has}",))
    if not re.match(r"(?:Key|Index)Error", finding.message):
        return Places()
    names = [*dict.fromkeys(re.findall(r"(?<![\w.\])])([A-Za-z_]\w*)\[", row))]
    if len(names) != 1:
        return Places()
    begins = re.compile(rf"\s*{names[0]}\s*(?::[^=]*)?=\s*(.+)")
    for number, one in enumerate(own.splitlines(), 1):
        if set_to := begins.match(one):
            return Places(names[0], (f"{names[0]} is set in line {number}, to {limits.line(set_to[1].strip())}",))
    return Places(names[0])


def of(rule: str, evidence: Evidence, finding: Finding) -> Places:
    """The places of a fault of class `rule` in a script's line."""
    own = limits.source(evidence.files.get(finding.path, "")) if finding.path else ""
    look = LOOKS.get(rule)
    if look is None or not finding.line or finding.line > len(own.splitlines()):
        return Places()
    return look(evidence, finding, own)


LOOKS: dict[str, Callable[[Evidence, Finding, str], Places]] = {
    "symbol-not-found": attached,
    "not-traceable": attached,
    "several-symbols": attached,
    "tracepoint-unknown": attached,
    "no-device": attached,
    "callback-exception": raised,
}
