"""The places of what is too large, or has a size that it may not have: a variable on the stack, a map."""

from __future__ import annotations

import re

from harness.explain import declared, stack
from harness.explain.change import Change
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of


def large(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The largest variable of a function, an array or a structure with one."""
    own = evidence.own
    if found := re.search(r"\b(\w+)\s*\[\s*(\w+)\s*\]", row):
        return Places(found[1], (f"{found[1]} alone has {_elements(own, found[2])}",))
    if not (found := re.search(r"\bstruct\s+(\w+)\s+(\w+)\s*(?:=|;)", row)):
        return Places()
    at = declared.structures(own).get(found[1])
    since = [f"{found[2]} is a struct {found[1]}, line {at}"] if at else []
    field = stack.largest_field(own, found[1])
    if field and (entries := declared.length(own, field)):
        since.append(f"its {field}, line {entries[1]}, has {_elements(own, entries[0])}")
    held = f"BPF_PERCPU_ARRAY(room, struct {found[1]}, 1);"
    advice = (
        f"Keep it in a map: {held} and here int zero = 0; struct {found[1]} *{found[2]} = room.lookup(&zero);"
        f" if (!{found[2]}) return 0;"
    )
    changed = _held(evidence, finding, found[1], found[2]) if since else None
    return Places(found[2], tuple(since), advice if since else "", changes=(changed,))


def _elements(own: str, text: str) -> str:
    """How many elements an array of this length has, and where that is defined."""
    defined = declared.defined(own, text)
    return f"{text} elements" + (f", {defined[0]} by line {defined[1]}" if defined else "")


def _held(evidence: Evidence, finding: Finding, kind: str, name: str) -> Change | None:
    """The variable `name`, a struct `kind`, in a map before the function; what uses it follows a pointer."""
    own, at = evidence.own, finding.line or 0
    first, row = declared.head(own, at), row_of(evidence, at)
    indent = row[: declared.indent(row)]
    if finding.path is None or first >= at or any(re.search(rf"\b{word}\b", own) for word in ("room", "zero")):
        return None
    found: dict[int, tuple[str, ...]] = {
        first: (f"BPF_PERCPU_ARRAY(room, struct {kind}, 1);", "", row_of(evidence, first)),
        at: (
            f"{indent}int zero = 0;",
            f"{indent}struct {kind} *{name} = room.lookup(&zero);",
            f"{indent}if (!{name})",
            f"{indent}    return 0;",
        ),
    }
    for number in declared.function_of(own, at):
        row = row_of(evidence, number)
        new = re.sub(rf"(?<![\w.>]){name}\s*\.", f"{name}->", row)
        new = re.sub(rf"&\s*{name}\b(?!\s*->)", name, new)
        new = re.sub(rf"\bsizeof\s*\(\s*{name}\s*\)", f"sizeof(*{name})", new)
        if number not in found and new != row:
            found[number] = (new,)
    return Change(finding.path, tuple(sorted(found.items())))


def sizes(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The size or type in a map's declaration that the kernel refuses."""
    found = declared.MAP.search(row)
    if not found:
        return Places()
    given = [part.strip() for part in found["given"].split(",")]
    last = given[-1]
    number = declared.number(evidence.own, last)
    if len(given) > 1 and number is not None and (number == 0 or "RINGBUF" in found["kind"]):
        defined = declared.defined(evidence.own, last)
        since = (f"{last} is {defined[0]}, line {defined[1]}",) if defined else ()
        if defined and number == 0:
            made = f"#define {last} 1024"
            changed = instead(evidence, finding, defined[1], made)
            return Places(last, since, f"A map has one entry or more: {made}", changes=(changed,))
        if "RINGBUF" not in found["kind"] or not number or defined:
            return Places(last, since)
        pages = 1 << (number - 1).bit_length()
        new = re.sub(rf"\b{last}\s*\)", f"{pages})", row_of(evidence, finding.line))
        return Places(
            last, since, f"Write {pages} for {last}: the pages of a ring buffer are a power of two.",
            changes=(instead(evidence, finding, finding.line or 0, new),),
        )  # fmt: skip
    where = declared.structures(evidence.own)
    for part in given[1:]:
        name = part.removeprefix("struct ")
        if name in where:
            field_name = stack.largest_field(evidence.own, name)
            entries = declared.length(evidence.own, field_name) if field_name else None
            more = (
                f": its {field_name}, line {entries[1]}, has {_elements(evidence.own, entries[0])}" if entries else ""
            )
            return Places(part, (f"{part} is declared in line {where[name]}{more}",))
    return Places()
