"""The places of what BCC leaves out or does not rewrite: a global, a function not inlined, a map behind a name."""

from __future__ import annotations

import re

from harness.explain import declared, lines
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of


def outside(evidence: Evidence, finding: Finding, row: str) -> Places:
    """What BCC leaves out or does not rewrite: a global variable, a function not inlined, a map behind a name."""
    looks = (_global, _not_inlined, _macro, _parameter)
    return next((found for look in looks if (found := look(evidence, finding, row)).token), Places())


def _global(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A variable that is declared outside of every function."""
    found = re.finditer(
        rf"^(?:(?:static|const|volatile)\s+)*{declared.TYPE}\s+(\w+)\s*(?:=|;|\[)", evidence.own, re.MULTILINE
    )
    where = {one[1]: declared.line_of(evidence.own, one) for one in found}
    used = [name for name in where if re.search(rf"(?<![\w.>]){name}\b", row)]
    if len(used) != 1 or where[used[0]] == finding.line:
        return Places()
    return Places(used[0], (f"{used[0]} is declared in line {where[used[0]]}, outside of every function",))


def _not_inlined(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A function that calls itself, or may not be inlined."""
    found = re.match(r"[A-Za-z_].*?\b(\w+)\s*\(", row)
    if not found or finding.line is None:
        return Places()
    rows, name = evidence.own.splitlines(), found[1]
    calls = re.compile(rf"\b{re.escape(name)}\s*\(")
    called = [n for n, one in enumerate(rows, 1) if n != finding.line and calls.search(declared.code(one))]
    if not called:
        return Places()
    body = lines.body(evidence.own, finding.line)
    if inside := [n for n in called if n in body]:
        return Places(name, (f"{name} calls itself in line {inside[0]}",))
    inlined = re.sub(r"\b(?:__)?noinline\b", "inline", row_of(evidence, finding.line))
    return Places(
        name, (f"{name} is called in line {called[0]}, and BCC loads it apart",),
        changes=(instead(evidence, finding, finding.line, inlined),),
    )  # fmt: skip


def _macro(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A macro that calls a map's method."""
    for name in re.findall(r"\b(\w+)\s*\(", row):
        if found := re.search(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(name)}\(", evidence.own, re.MULTILINE):
            return Places(name, (f"{name} is a macro, line {declared.line_of(evidence.own, found)}",))
    return Places()


def _parameter(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A function's parameter in a map's place."""
    found = re.search(r"\b(\w+)\s*->\s*\w+\s*\(", row)
    head = declared.head(evidence.own, finding.line or 1)
    if not found or not re.search(rf"[(,][^(),]*\b{re.escape(found[1])}\s*[,)]", row_of(evidence, head)):
        return Places()
    return Places(found[1], (f"{found[1]} is a parameter, line {head}",))
