"""Three places of a fault: the token that it is at, where its value comes from, and what to try there.

Told in the program's own names and sizes, and only where the learner's text leaves no choice: exactly one candidate on
the line. Else the rule's own words stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.explain import calls, change, declared, limits, loops, outside, scripts, sizes, statements
from harness.explain.change import Change
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, before, instead, row_of

FOLLOWED = r"(?:\*+\s*(?P<star>[A-Za-z_]\w*)|\b(?P<arrow>[A-Za-z_]\w*)\s*->|\b(?P<array>[A-Za-z_]\w*)\s*\[)"
INDEX = re.compile(r"(?P<array>[A-Za-z_]\w*)\s*\[\s*(?P<index>[^\[\]]*[A-Za-z_][^\[\]]*?)\s*\]")
READ = re.compile(r"\b(?P<pointer>[A-Za-z_]\w*)\s*->\s*(?P<field>\w+)")
STAR = re.compile(r"(?:(?<=\breturn\s)|(?<![\w)\]]\s)(?<![\w)\]]))\*\s*(?P<pointer>[A-Za-z_]\w*)(?!\s*(?:\w|->|\[|\())")
ELEMENT = re.compile(r"\b(?P<pointer>(?:args\s*->\s*)?[A-Za-z_]\w*)\s*\[[^\[\]]+\]")
COPY = re.compile(r"\b(?:__builtin_)?mem(?:cpy|move)\s*\(([^,;]+),([^,;]+),([^,;]+)\)(?=\s*;)")
END = re.compile(r"\b(\w+)\s*=\s*\(void \*\)\s*\(\w+\)\s*\w+->data_end\b")
CONTEXT = re.compile(r"\(\s*struct (?:xdp_md|__sk_buff)\s*\*\s*(\w+)\s*\)")
FIXED = re.compile(r"invalid (?:indirect access to|write to|read from) stack R\d+ off=-?\d+ size=(\d{1,9})\b")
ORIGIN = re.compile(
    r"^; [^\n]{0,200}?\b(?P<name>\w+) = "
    r"(?P<call>(?:bpf_map_lookup_elem|bpf_ringbuf_reserve|\w+\.lookup\w*)\([^;\n]{0,200}\));"
    r"(?: @ \S+:(?P<line>\d{1,9}))?",
    re.MULTILINE,
)
"""A comment in a verifier's log: the line of the source that made the next instructions."""
TOLD = re.compile(r"\bbpf_\w+\s*\(\s*(?P<to>&?[\w.>-]*?\b(?P<array>\w+))\s*,\s*(?P<length>[A-Za-z_]\w*)\s*,")


def of(rule: str, evidence: Evidence, finding: Finding) -> Places:
    """The places of a fault of class `rule`."""
    if rule == "null-check" and not evidence.own:
        return _of_log(evidence, finding)
    if finding.path != evidence.path:
        return scripts.of(rule, evidence, finding)
    rows = evidence.own.splitlines()
    look = LOOKS.get(rule)
    if look is None or not finding.line or finding.line > len(rows):
        return Places()
    return look(evidence, finding, declared.code(rows[finding.line - 1]))


def _of_log(evidence: Evidence, finding: Finding) -> Places:
    """The same from a log alone, whose comments hold lines of the source."""
    names = {found[1] or found[2] or found[3] for found in re.finditer(FOLLOWED, declared.code(finding.shown))}
    origins = [found for found in ORIGIN.finditer(evidence.log) if found["name"] in names]
    if len({found["name"] for found in origins}) != 1:
        return Places()
    found, table = origins[-1], re.search(r"\(map (\w+)\)", " ".join(finding.known))
    call = re.sub(r"\(void \*\)bpf_pseudo_fd\(1, -?\d+\)", table[1] if table else "…", found["call"])
    where = f", line {found['line']}" if found["line"] else ""
    register = re.match(r"R\d+", finding.message)
    return Places(
        found["name"], (f"{found['name']} comes from {limits.line(call)}{where}, and may be NULL",),
        f"Before this line: if (!{found['name']}) return 0;", register[0] if register else "",
    )  # fmt: skip


def _null_check(evidence: Evidence, finding: Finding, row: str) -> Places:
    names = dict.fromkeys(found[1] or found[2] or found[3] for found in re.finditer(FOLLOWED, row))
    names |= dict.fromkeys(re.findall(r"[(,]\s*(\w+)\s*(?=[,)])", row))
    known = [one for name in names if (one := declared.origin(evidence.own, name, finding.line or 0))]
    if len(known) > 1:
        known = [one for one in known if not _is_checked(evidence.own, one, finding.line or 0)]
    known = known or _of_functions(evidence.own, row, finding.line or 0)
    if len(known) != 1:
        return Places()
    (found,) = known
    since = f"{found.name} comes from {found.call}, line {found.line}, and may be NULL"
    leave = "return;" if _is_void(evidence.own, finding.line or 0) else _leave(evidence.own)
    advice = f"Before this line: if (!{found.name}) {leave}"
    register = re.match(r"R\d+", finding.message)
    changed = before(evidence, finding, f"if (!{found.name}) {leave}") if found.line != finding.line else None
    return Places(found.name, (since,), advice, register[0] if register else "", (changed,))


GIVEN_BACK = re.compile(r"\b(?P<call>(?:\w+\.|bpf_)ringbuf_(?:submit|discard)\s*\(\s*(?P<name>\w+)\s*,[^;\n]*\))")


def _released(evidence: Evidence, finding: Finding, row: str) -> Places:
    """Where the room was given back: the nearest call above the line that does it to what the line follows."""
    names = {found[1] or found[2] or found[3] for found in re.finditer(FOLLOWED, row)}
    rows = [declared.code(one) for one in evidence.own.splitlines()[: (finding.line or 1) - 1]]
    for number, one in reversed([*enumerate(rows, 1)]):
        if (found := GIVEN_BACK.search(one)) and found["name"] in names:
            since = f"{found['name']} is given back at line {number}: {limits.line(found['call'])}"
            return Places(found["name"], (since,), f"Return right after line {number}, or do this before it.")
    return Places()


def _is_checked(own: str, one: declared.Origin, line: int) -> bool:
    """Whether a line between the origin and `line` asks if the pointer is NULL."""
    between = "\n".join(map(declared.code, own.splitlines()[one.line : line - 1]))
    return re.search(rf"\bif\s*\([^;\n]*(?:!\s*|[(&|]\s*){re.escape(one.name)}\b(?!\s*->)", between) is not None


def _of_functions(own: str, row: str, line: int) -> list[declared.Origin]:
    """The pointers that a row follows, and that a call gave their value."""
    names = dict.fromkeys(found[1] or found[2] or found[3] for found in re.finditer(FOLLOWED, row))
    made = (one for name in names if (one := declared.variable(own, name, line)) and one.pointer)
    called = (one for one in made if re.fullmatch(r"\w+\([^()]*\)", one.value))
    return [declared.Origin(one.name, one.value, "", "", one.line) for one in called]


def _leave(own: str) -> str:
    """How a program goes that has nothing to do: 0 is right for all but XDP, where it drops the packet."""
    return "return XDP_PASS;" if "xdp_md" in own else "return 0;"


def _is_void(own: str, line: int) -> bool:
    rows = own.splitlines()
    head = rows[declared.function_of(own, line)[0] - 1]
    return bool(re.match(r"(?:static\s+)?(?:inline\s+|__always_inline\s+)*void\b", head))


def _out_of_bounds(evidence: Evidence, finding: Finding, row: str) -> Places:
    if fixed := _fixed_length(evidence, finding, row) or _size_of_another(evidence, finding, row):
        return fixed
    found = {(one["array"], one["index"]) for one in INDEX.finditer(row)}
    since = _of_map(evidence, finding)
    if not found and (stated := _stated_length(evidence, finding, row)):
        return stated
    if len(found) != 1:
        return Places(since=since)
    ((array, index),) = found
    entries = declared.length(evidence.own, array)
    if entries is None:
        return Places(index, since)
    size, line = entries
    since = (f"{array} has {size} elements, line {line}", *since)
    value = declared.number(evidence.own, size)
    if f"{index} & " in row or f"{index} % " in row:
        return Places(index, since)
    if not index.isidentifier():
        advice = f"Before this line: u64 i = {index}; if (i >= {size}) return 0; then {array}[i] here."
        return Places(index, since, advice, changes=(_kept_index(evidence, finding, array, index, size),))
    if checked := _checked(evidence.own, index, finding.line or 0):
        since = (
            f"{index} is compared in line {checked}, which does not count here: the compiler keeps another copy of it,"
            f" {index} changes after it, or one side is open (a signed one below 0)",
            *since,
        )
        kept = f'hold the index in a u64, then asm volatile("" : "+r"({index})); and compare right before this line'
        advice = f"Keep what was compared: {kept}: if ({index} >= {size}) return 0;"
        return Places(index, since, advice, changes=(_kept_index(evidence, finding, array, index, size),))
    masked = f", or {array}[{index} & ({size} - 1)] here" if value and value & (value - 1) == 0 else ""
    advice = f"Right before this line: if ({index} >= {size}) return 0; with {index} unsigned{masked}."
    unsigned = "u64" if _is_wide(evidence.own, index, finding.line or 0) else "u32"
    changes = [before(evidence, finding, f"if (({unsigned}){index} >= {size}) {_leave(evidence.own)}")]
    if masked and finding.line:
        old = re.compile(rf"(\b{re.escape(array)}\s*\[)\s*{re.escape(index)}\s*\]")
        row = old.sub(rf"\g<1>{index} & ({size} - 1)]", row_of(evidence, finding.line))
        changes.append(instead(evidence, finding, finding.line, row))
    return Places(index, since, advice, changes=tuple(changes))


def _kept_index(evidence: Evidence, finding: Finding, array: str, index: str, size: str) -> Change | None:
    """The index in a variable that the compiler cannot copy, compared right before it is used."""
    if not finding.line:
        return None
    name = next(one for one in ("i", "at", "place", "index_") if not re.search(rf"\b{one}\b", evidence.own))
    keep = f'u64 {name} = {index}; asm volatile("" : "+r"({name})); if ({name} >= {size}) {_leave(evidence.own)}'
    old = re.compile(rf"(\b{re.escape(array)}\s*\[)\s*{re.escape(index)}\s*\]")
    made = before(evidence, finding, keep)
    if made is None:
        return None
    row = row_of(evidence, finding.line)
    new = old.sub(rf"\g<1>{name}]", row)
    lines = ((line, tuple(one.replace(row, new) for one in rows)) for line, rows in made.lines)
    return Change(made.path, tuple(lines)) if finding.line in dict(made.lines) else None


def _is_wide(own: str, name: str, line: int) -> bool:
    """Whether a variable has 8 bytes, or nothing is known of it."""
    found = declared.variable(own, name, line)
    return found is None or declared.size(found.type) not in (1, 2, 4)


def _stated_length(evidence: Evidence, finding: Finding, row: str) -> Places | None:
    """A variable passes a helper the length, after the array that it writes into."""
    found = TOLD.search(row)
    entries = declared.length(evidence.own, found["array"]) if found else None
    if not found or not entries:
        return None
    name, to = found["length"], found["to"].lstrip("&")
    since = f"{found['array']} has {entries[0]} elements, line {entries[1]}"
    unsigned = "u64" if _is_wide(evidence.own, name, finding.line or 0) else "u32"
    return Places(
        name, (since,), f"Before this line: if ({name} > sizeof({to})) {name} = sizeof({to}); with {name} unsigned.",
        changes=(before(evidence, finding, f"if (({unsigned}){name} > sizeof({to})) {name} = sizeof({to});"),),
    )  # fmt: skip


def _fixed_length(evidence: Evidence, finding: Finding, row: str) -> Places | None:
    """A fixed length is passed to a helper that is more than the array before it has."""
    stated = re.match(FIXED, finding.message)
    found = re.search(rf"(?P<to>&?[\w.>-]*?\b(?P<array>\w+))\s*,\s*{stated[1]}\b", row) if stated else None
    if not stated or not found or not (entries := declared.length(evidence.own, found["array"])):
        return None
    since = f"{found['array']} has {entries[0]} elements, line {entries[1]}"
    size = f"sizeof({found['to'].lstrip('&')})"
    named = re.sub(rf"(,\s*){stated[1]}\b", rf"\g<1>{size}", row_of(evidence, finding.line), count=1)
    return Places(
        stated[1],
        (since,),
        f"Write {size} for {stated[1]}.",
        changes=(instead(evidence, finding, finding.line or 0, named),),
    )


def _size_of_another(evidence: Evidence, finding: Finding, row: str) -> Places | None:
    """A variable's address goes with the size of another structure."""
    found = re.search(r"&\s*(?P<name>\w+)\s*,\s*(?P<size>sizeof\s*\(\s*(?P<type>struct\s+\w+)\s*\))", row)
    one = declared.variable(evidence.own, found["name"], finding.line or 0) if found else None
    if not found or not one or one.pointer or one.length or one.type == " ".join(found["type"].split()):
        return None
    if not one.type.startswith("struct "):
        return None
    named = row_of(evidence, finding.line).replace(found["size"], f"sizeof({one.name})", 1)
    return Places(
        found["size"], (f"{one.name} is a {one.type}, line {one.line}",),
        f"Write sizeof({one.name}) for {found['size']}.",
        changes=(instead(evidence, finding, finding.line or 0, named),),
    )  # fmt: skip


def _checked(own: str, name: str, line: int) -> int | None:
    """The nearest line above `line` in its function that compares `name`."""
    compared = re.compile(rf"\bif\b[^;]*\b{re.escape(name)}\s*(?:[<>]=?|==)|\bif\b[^;]*[<>]=?\s*{re.escape(name)}\b")
    rows = own.splitlines()
    above = (n for n in reversed(declared.function_of(own, line)) if n < line)
    return next((n for n in above if compared.search(declared.code(rows[n - 1]))), None)


def _of_map(evidence: Evidence, finding: Finding) -> tuple[str, ...]:
    """The declaration of the map that the refused address points into."""
    named = re.search(r"\(map (\w+)\)", " ".join(finding.known))
    found = declared.maps(evidence.own).get(named[1]) if named else None
    return (f"{found.name} is declared in line {found.line}: {found.text}",) if found else ()


def _packet(evidence: Evidence, finding: Finding, row: str) -> Places:
    names = [*dict.fromkeys(found["pointer"] for found in READ.finditer(row))]
    known = (declared.variable(evidence.own, name, finding.line or 0) for name in names)
    pointers = [one for one in known if one and one.pointer]
    ends = {found[1] for found in re.finditer(END, evidence.own)}
    if not ends and (context := CONTEXT.search(evidence.own)):
        ends = {f"(void *)(long){context[1]}->data_end"}
    if len(pointers) != 1 or len(ends) != 1:
        return Places()
    (pointer,), (end,) = pointers, ends
    compared = re.search(rf"\b{re.escape(pointer.name)}\s*\+\s*1\b[^;\n]{{0,80}}\b{re.escape(end)}\b", evidence.own)
    if compared or pointer.type in ("struct xdp_md", "struct __sk_buff"):
        return Places()
    since = f"{pointer.name} is a {pointer.type} *, line {pointer.line}: nothing compares its end with {end}"
    compare = f"if ((void *)({pointer.name} + 1) > {end}) {_leave(evidence.own)}"
    return Places(pointer.name, (since,), f"Before this line: {compare}", changes=(before(evidence, finding, compare),))


def _unset(evidence: Evidence, finding: Finding, row: str) -> Places:
    if row.strip() == "}":
        return statements.unreturned(evidence, finding)
    unset = []
    for name in dict.fromkeys(re.findall(r"\b[A-Za-z_]\w*\b(?!\s*=[^=])", row)):  # not what is set here
        found = declared.variable(evidence.own, name, finding.line or 0)
        if not found or found.value or found.line >= (finding.line or 0):
            continue
        if row_of(evidence, found.line)[:1].isspace():  # else it is a parameter
            unset.append(found)
    if len(unset) != 1:
        return Places()
    (found,) = unset
    if found.pointer:
        since = f"{found.name} is declared in line {found.line}, and points nowhere yet"
        return Places(found.name, (since,), f"Give {found.name} an address before this line.")
    array = f"[{found.length}]" if found.length else ""
    begin = "{}" if array or found.type.startswith("struct ") else "0"
    since = f"{found.name} is declared in line {found.line}, with no value"
    gaps = "; then its fields, not = {.a = 1}, which leaves the gaps" if found.type.startswith("struct ") else ""
    bare = re.compile(rf"\b{re.escape(found.name)}\b(?:\s*\[[^\]]*\])?(?=\s*[,;])")
    row = bare.sub(rf"\g<0> = {begin}", row_of(evidence, found.line), count=1)
    return Places(
        found.name, (since,), f"Line {found.line}: {found.type} {found.name}{array} = {begin};{gaps}",
        changes=(instead(evidence, finding, found.line, row),),
    )  # fmt: skip


def _reserved(evidence: Evidence, finding: Finding, row: str) -> Places:
    found = re.search(r"\b(\w+)\s*=\s*(?:\([\w\s*]+\)\s*)?(\w+)\s*\.\s*ringbuf_reserve\b", row)
    if not found:
        return Places()
    name, ring = found[1], found[2]
    advice = f"On each path after this line that leaves without ringbuf_submit: {ring}.ringbuf_discard({name}, 0);"
    made = change.discarded(evidence.own, finding.path, finding.line or 0, name, ring) if finding.path else None
    leaves = [f"line {number} leaves without: {_code(evidence, number)}" for number, _ in made.lines] if made else []
    return Places(name, tuple(leaves), advice, changes=(made,))


def _code(evidence: Evidence, line: int) -> str:
    return limits.line(row_of(evidence, line).strip())


def _read(evidence: Evidence, finding: Finding, row: str) -> Places:
    if "bpf_probe_read" in row or "_CORE_READ" in row:  # the line does already what would be advised
        return Places()
    helper = "bpf_probe_read_" + ("user" if re.search(r"\b__user\b|\bsys_enter", evidence.own) else "kernel")
    if whole := COPY.search(row):
        to, value, size = (part.strip() for part in whole.groups())
        made = f"{helper}({to}, {size}, {value})"
        new = row_of(evidence, finding.line).replace(whole[0], made)
        return Places(
            value, (), f"Copy it with a helper: {made};", changes=(instead(evidence, finding, finding.line or 0, new),)
        )
    fields = {(one["pointer"], one[0], f"&{one[0]}") for one in READ.finditer(row) if one["pointer"] != "args"}
    behind = {(one["pointer"], one[0], one["pointer"]) for one in STAR.finditer(row)}
    elements = {(one["pointer"], one[0], f"&{one[0]}") for one in ELEMENT.finditer(row)}
    reads = fields or behind or elements
    if len(reads) != 1:
        return Places()
    ((pointer, value, address),) = reads
    found = declared.variable(evidence.own, pointer, finding.line or 0)
    since = (f"{pointer} is set in line {found.line}, to {found.value}",) if found and found.value else ()
    other = (
        "bpf_probe_read_kernel for the kernel's" if helper.endswith("user") else "bpf_probe_read_user for a process's"
    )
    advice = f"Copy it first: {helper}(&copy, sizeof(copy), {address}); {other} memory."
    kind = _unqualified(found, pointer, value)
    return Places(
        pointer, since, advice, changes=(_copied(evidence, finding, kind, value, f"{helper}({{}}, {address});"),)
    )


def _unqualified(found: declared.Variable | None, pointer: str, value: str) -> str:
    """The type of what is read through a pointer, without const: a constant's copy keeps what it began with."""
    plain = re.sub(r"\b(?:const|volatile)\s+", "", found.type) if found else ""
    if "->" in value and "[" not in value:
        return f"typeof((({plain} *)0)->{value.partition('->')[2].strip()})" if plain else f"typeof({value})"
    return plain or ("char" if pointer.startswith("args") else f"typeof({value})")


def _copied(evidence: Evidence, finding: Finding, kind: str, value: str, call: str) -> Change | None:
    """What is read copied into a variable, which stands in its place in the line."""
    made = before(evidence, finding, f"{kind} copy = {{}};", call.format("&copy, sizeof(copy)"))
    if made is None or re.search(r"\bcopy\b", evidence.own):
        return None
    row = row_of(evidence, finding.line)
    new = row.replace(value, "copy")
    return Change(
        made.path, tuple((line, tuple(new if one == row else one for one in rows)) for line, rows in made.lines)
    )


def _arithmetic(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The one pointer of a line, beside those that an index is read through."""
    names = dict.fromkeys(re.findall(r"(?<![\w.>])[A-Za-z_]\w*", re.sub(r"\[[^\[\]]*\]", "", row)))
    known = [declared.variable(evidence.own, name, finding.line or 0) for name in names]
    pointers = [one for one in known if one and one.pointer and (one.line != finding.line or "=" not in row)]
    if len(pointers) != 1:
        return Places()
    (one,) = pointers
    to = f", set to {one.value}" if one.value else ""
    return Places(one.name, (f"{one.name} is a {one.type} *, line {one.line}{to}",))


def _leaked(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The pointer that is stored."""
    _, equals, stored = row.partition("=")
    return _arithmetic(evidence, finding, stored) if equals else Places()


def _argument(evidence: Evidence, finding: Finding, row: str) -> Places:
    found = calls.argument(evidence, finding, row)
    return found if found.token or finding.column else _out_of_bounds(evidence, finding, row)


def narrow(own: str, line: int | None) -> dict[str, str] | None:
    """The key or value that a line hands to a map's method, of another size than the map's; None if all fit."""
    rows = own.splitlines()
    if not line or line > len(rows):
        return None
    found = declared.STORED.search(declared.code(rows[line - 1]))
    table = declared.maps(own).get(found["map"]) if found else None
    if not found or not table:
        return None
    for what, given in zip(("key", "leaf"), found["given"].split(","), strict=False):
        name = re.match(r"\s*&\s*(\w+)\s*\)?", given)
        one = declared.variable(own, name[1], line) if name else None
        wanted = getattr(table, what)
        if one and not one.length and not one.pointer and _differ(one.type, wanted):
            return {
                "what": what.replace("leaf", "value"), "variable": one.name, "got_type": one.type, "declared": wanted,
                "map": table.name, "at": str(one.line), "map_line": str(table.line),
                "have": str(declared.size(one.type)), "size": str(declared.size(wanted)),
            }  # fmt: skip
    return None


def _differ(one: str, other: str) -> bool:
    sizes = declared.size(one), declared.size(other)
    return None not in sizes and sizes[0] != sizes[1]


LOOKS: dict[str, Callable[[Evidence, Finding, str], Places]] = {
    "null-check": _null_check,
    "released": _released,
    "out-of-bounds": _out_of_bounds,
    "packet-bounds": _packet,
    "uninitialised": _unset,
    "reference-leak": _reserved,
    "pointer-read": _read,
    "pointer-arithmetic": _arithmetic,
    "stack-size": sizes.large,
    "helper-not-allowed": calls.helper,
    "gpl-only": calls.licence,
    "loop": loops.loop,
    "too-many-instructions": loops.many,
    "bcc-restriction": outside.outside,
    "unknown-function": calls.library,
    "return-value": statements.returned,
    "syntax": statements.syntax,
    "map-refused": sizes.sizes,
    "helper-argument": _argument,
    "pointer-leak": _leaked,
    "unknown-field": statements.field,
}
