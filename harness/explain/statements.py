"""The places of a statement: one that does not parse, a value that may not be returned, a field that is not there."""

from __future__ import annotations

import re

from harness.explain import declared, lines
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of

ROWS_MAX = 400
"""Of a function, in which an open block is looked for."""


def field(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A field that a structure of the learner's does not have."""
    found = re.search(r"no member named '(\w+)' in '(?:struct )?(\w+)'", finding.message)
    where = declared.structures(evidence.own).get(found[2]) if found else None
    if not found or not where:
        return Places(found[1] if found else "")
    body = next(body for name, body in lines.structures(evidence.own) if name == found[2])
    names = declared.fields(body)
    return Places(found[1], (f"struct {found[2]}, line {where}, has {names}",) if names else ())


def returned(evidence: Evidence, finding: Finding, row: str) -> Places:
    """What a program returns, and may not."""
    found = re.search(r"\breturn\b\s*(.+?)\s*;", row)
    if not found:
        return Places()
    line, whole = finding.line or 0, row_of(evidence, finding.line)
    head = row_of(evidence, declared.head(evidence.own, finding.line or 1))
    indent = whole[: declared.indent(whole)]
    if "LSM_PROBE" in head and re.search(r"[<>=!]", found[1]) and whole.strip() == found[0]:
        rows: tuple[str, ...] = (f"{indent}if ({found[1]})", f"{indent}    return -1;", f"{indent}return 0;")
        advice = f"Write both as constants: if ({found[1]}) return -1; return 0;"
    else:
        rows, advice = (whole.replace(found[0], "return 0;"),), "Write return 0; here."
    return Places(found[1], (), advice, changes=(instead(evidence, finding, line, *rows),))


def unreturned(evidence: Evidence, finding: Finding) -> Places:
    """The end of a function that returns nothing on some path."""
    line = finding.line or 0
    new = ("    return XDP_PASS;" if "xdp_md" in evidence.own else "    return 0;", row_of(evidence, line))
    advice = f"Return a number on every path: {new[0].strip()} before this line."
    return Places("", (), advice, changes=(instead(evidence, finding, line, *new),))


def syntax(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A semicolon at a row's end, the brackets of a condition, a brace that is not closed."""
    whole, line = row_of(evidence, finding.line), finding.line or 0
    end = len(row.rstrip())
    if finding.message.startswith("function definition is not allowed"):
        return _unclosed(evidence.own, line)
    if re.match(r"expected ';' (?:after|at end of)", finding.message) and (finding.column or 0) > end:
        new = f"{whole[:end]};{whole[end:]}"
        return Places("", (), f"Write {new.strip()}", changes=(instead(evidence, finding, line, new),))
    plain = whole[:end].removesuffix(":").rstrip()
    condition = re.match(r"(\s*(?:\}\s*)?(?:else )?(?:if|while)) ([^(].*)$", plain)
    if finding.message.startswith("expected '(' after") and condition:
        new = f"{condition[1]} ({condition[2]})"
        return Places(
            "", (), f"A condition stands in brackets: {new.strip()}", changes=(instead(evidence, finding, line, new),)
        )
    return Places()


def _unclosed(own: str, line: int) -> Places:
    """The block before `line` that ends, as its indentation tells, without a brace."""
    rows = [declared.code(row).rstrip() for row in own.splitlines()]
    for number in range(line - 1, max(0, line - ROWS_MAX), -1):
        if not rows[number - 1].endswith("{"):
            continue
        inside = declared.indent(rows[number - 1])
        after = (row for row in rows[number : line - 1] if row and declared.indent(row) <= inside)
        if not next(after, "}").lstrip().startswith("}"):
            return Places("", (f"line {number} opens a block that nothing closes: {rows[number - 1].strip()}",))
    return Places()
