"""The places of faults that lie in a construct: a helper's call, a loop, a large variable, a field, a global.

The token is the construct's own word. The origin is what made it wrong: the kind of program, its licence, a size.
"""

from __future__ import annotations

import re

from harness.explain import change, declared, limits, lines, stack
from harness.explain.change import Change
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of

HELPER = re.compile(r"\bbpf_\w+(?=#\d)")
"""As the verifier names the helper that is called."""
HEAD = re.compile(r"^(?P<indent>\s+)(?P<word>for|while|do)\b\s*(?:\((?P<given>.*)\)\s*(?P<end>\{?)\s*)?")
KINDS = {
    "xdp_md": "an XDP program", "__sk_buff": "a program for packets of a socket or of tc",
    "pt_regs": "a program for a kprobe or a uprobe", "bpf_perf_event_data": "a program for a perf event",
    "TRACEPOINT_PROBE": "a tracepoint's program", "RAW_TRACEPOINT_PROBE": "a raw tracepoint's program",
    "LSM_PROBE": "a program for an LSM hook", "KFUNC_PROBE": "an fentry program", "KRETFUNC_PROBE": "an fexit program",
}  # fmt: skip
SAME = {
    "printf": "bpf_trace_printk", "printk": "bpf_trace_printk", "memcpy": "__builtin_memcpy",
    "memset": "__builtin_memset", "memmove": "__builtin_memmove",
}  # fmt: skip
"""Functions that take the same arguments."""
ROWS_MAX = 400
"""Of a function, in which an open block is looked for."""
FIELDS_MAX = 12
BRANCHES_MIN = 8
"""Conditions in one function that can be too many together."""
ROUNDS = 16
"""Of a loop in an advice: few enough for any verifier."""


def helper(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A helper that this type of program does not have."""
    first = _head(evidence, finding)
    text = limits.line(row_of(evidence, first))
    kind = next((words for word, words in KINDS.items() if re.search(rf"\b{word}\b", text)), "")
    name = re.search(r"(\w+)\s*\(", text)
    since = (f"{name[1]} is {kind}, line {first}",) if name and kind and not name[1].endswith("_PROBE") else ()
    if kind and name and not since:
        since = (f"line {first} makes {kind}",)
    return Places(_called(finding, row), since)


def licence(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A helper that the program's licence does not allow."""
    found = re.search(r"^[ \t]*#[ \t]*define[ \t]+BPF_LICENSE[ \t]+(\S+)", evidence.own, re.MULTILINE)
    since = (f"BPF_LICENSE is {found[1]}, line {_line_of(evidence.own, found)}",) if found else ()
    return Places(_called(finding, row), since)


def loop(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A loop, at its head, with a bound that is small and fixed."""
    line, found = _loop_around(evidence.own, finding.line or 0)
    if found is None:
        return Places()
    head = row_of(evidence, line)
    bound = _bound(evidence.own, found["given"] or "", line)
    name = next((one for one in ("i", "round", "step") if not re.search(rf"\b{one}\b", evidence.own)), "")
    new = _bounded(found, name) if name else ""
    if not new:
        return Places(found["word"], bound, line=line)
    made = head.replace(head[found.start("word") : found.end()].rstrip(" {"), new, 1)
    advice = f"Give it a fixed small number of rounds: {new}, and leave it early by break."
    return Places(found["word"], bound, advice, changes=(instead(evidence, finding, line, made),), line=line)


def many(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A loop, else the conditions of a function, from the first one on."""
    if (found := loop(evidence, finding, row)).token:
        return found
    rows = evidence.own.splitlines()
    inside = declared.function_of(evidence.own, finding.line or 0)
    where = [n for n in inside if re.search(r"\bif\s*\(", declared.code(rows[n - 1]))]
    if len(where) < BRANCHES_MIN:
        return Places()
    return Places(
        "if", (f"{len(where)} conditions follow one another, lines {where[0]} to {where[-1]}",), line=where[0]
    )


def _bounded(found: re.Match[str], name: str) -> str:
    """The head of the same loop with a bound; empty where none can be told."""
    given = found["given"] or ""
    if found["word"] == "while" and given:
        also = "" if given.strip() in ("1", "true") else f" && ({given.strip()})"
        return f"for (int {name} = 0; {name} < {ROUNDS}{also}; {name}++)"
    parts = [part.strip() for part in given.split(";")]
    counter = re.match(r"(\w+)\s*<=?\s*\S", parts[1]) if len(parts) == 3 else None
    if found["word"] != "for" or counter is None:
        return ""
    return f"for ({parts[0]}; {parts[1]} && {counter[1]} < {ROUNDS}; {parts[2]})"


def _bound(own: str, given: str, line: int) -> tuple[str, ...]:
    """Where what a loop compares with is defined."""
    found = re.search(r"[<>]=?\s*([A-Za-z_]\w*)", given)
    if not found:
        return ()
    defined = re.search(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(found[1])}\s+(\S+)", own, re.MULTILINE)
    if defined:
        return (f"{found[1]} is {defined[1]}, line {_line_of(own, defined)}",)
    one = declared.variable(own, found[1], line)
    return (f"{found[1]} is known only when the program runs, line {one.line}",) if one else ()


def _loop_around(own: str, line: int) -> tuple[int, re.Match[str] | None]:
    """The innermost loop that `line` is in or begins, as far as its indentation tells."""
    rows = own.splitlines()
    inside = _indent(rows[line - 1])
    for number in range(line, declared.function_of(own, line)[0], -1):
        row = declared.code(rows[number - 1])
        found = HEAD.match(row)
        if found and (number == line or _indent(row) < inside):
            return number, found
    return line, None


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip())


def large(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The largest variable of a function, an array or a structure with one."""
    own = evidence.own
    if found := re.search(r"\b(\w+)\s*\[\s*(\w+)\s*\]", row):
        return Places(found[1], (f"{found[1]} alone has {_elements(own, found[2])}",))
    if not (found := re.search(r"\bstruct\s+(\w+)\s+(\w+)\s*(?:=|;)", row)):
        return Places()
    since = [f"{found[2]} is a struct {found[1]}, line {at}" for name, at in _structures(own) if name == found[1]]
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
    defined = re.search(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(text)}\s+(\d\w*)\b", own, re.MULTILINE)
    return f"{text} elements" + (f", {defined[1]} by line {_line_of(own, defined)}" if defined else "")


def _held(evidence: Evidence, finding: Finding, kind: str, name: str) -> Change | None:
    """The variable `name`, a struct `kind`, in a map before the function; what uses it follows a pointer."""
    own, at = evidence.own, finding.line or 0
    first, indent = _head(evidence, finding), row_of(evidence, at)[: _indent(row_of(evidence, at))]
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


def outside(evidence: Evidence, finding: Finding, row: str) -> Places:
    """What BCC leaves out or does not rewrite: a global variable, a function not inlined, a map behind a name."""
    looks = (_global, _not_inlined, _macro, _parameter)
    return next((found for look in looks if (found := look(evidence, finding, row)).token), Places())


def _global(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A variable that is declared outside of every function."""
    found = re.finditer(
        rf"^(?:(?:static|const|volatile)\s+)*{declared.TYPE}\s+(\w+)\s*(?:=|;|\[)", evidence.own, re.MULTILINE
    )
    where = {one[1]: _line_of(evidence.own, one) for one in found}
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
            return Places(name, (f"{name} is a macro, line {_line_of(evidence.own, found)}",))
    return Places()


def _parameter(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A function's parameter in a map's place."""
    found = re.search(r"\b(\w+)\s*->\s*\w+\s*\(", row)
    head = _head(evidence, finding)
    if not found or not re.search(rf"[(,][^(),]*\b{re.escape(found[1])}\s*[,)]", row_of(evidence, head)):
        return Places()
    return Places(found[1], (f"{found[1]} is a parameter, line {head}",))


def library(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A function of the C library, of which another name does the same here."""
    found = re.search(r"function '(\w+)'", finding.message)
    name = found[1] if found else ""
    if name not in SAME or finding.path is None or not finding.line:
        return Places(name)
    changed = change.renamed(evidence.own, finding.path, finding.line, name, SAME[name])
    return Places(name, (), f"Write {SAME[name]} for {name}.", changes=(changed,))


def field(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A field that a structure of the learner's does not have."""
    found = re.search(r"no member named '(\w+)' in '(?:struct )?(\w+)'", finding.message)
    where = dict(_structures(evidence.own)).get(found[2]) if found else None
    if not found or not where:
        return Places(found[1] if found else "")
    body = next(body for name, body in lines.structures(evidence.own) if name == found[2])
    names = fields(body)
    return Places(found[1], (f"struct {found[2]}, line {where}, has {names}",) if names else ())


def fields(body: str) -> str:
    """The names of a structure's first fields."""
    names = re.findall(r"\b(\w+)\s*(?:\[[^\[\]]*\]\s*)?;", body)
    return ", ".join([*names[:FIELDS_MAX], *(["…"] if len(names) > FIELDS_MAX else [])])


def _structures(own: str) -> list[tuple[str, int]]:
    """The structures that a text declares, each with its line."""
    found = re.finditer(r"\bstruct\s+(\w+)\s*\{", own)
    return [(one[1], _line_of(own, one)) for one in found]


def _head(evidence: Evidence, finding: Finding) -> int:
    """The line that the function of the fault begins in."""
    return declared.function_of(evidence.own, finding.line or 1)[0]


def _called(finding: Finding, row: str) -> str:
    """The helper that was refused, if the line calls it by that name."""
    found = HELPER.search(finding.message) or HELPER.search(finding.code)
    return found[0] if found and re.search(rf"\b{re.escape(found[0])}\b", row) else ""


def _line_of(own: str, found: re.Match[str]) -> int:
    """The line that a match begins in."""
    return own.count("\n", 0, found.start()) + 1


def returned(evidence: Evidence, finding: Finding, row: str) -> Places:
    """What a program returns, and may not."""
    found = re.search(r"\breturn\b\s*\(?(.+?)\)?\s*;", row)
    if not found:
        return Places()
    line, whole = finding.line or 0, row_of(evidence, finding.line)
    head = row_of(evidence, _head(evidence, finding))
    indent = whole[: _indent(whole)]
    if "LSM_PROBE" in head and re.search(r"[<>=!]", found[1]) and whole.strip() == found[0]:
        rows: tuple[str, ...] = (f"{indent}if ({found[1]})", f"{indent}    return -1;", f"{indent}return 0;")
        advice = f"Write both as constants: if ({found[1]}) return -1; return 0;"
    else:
        rows, advice = (whole.replace(found[0], "return 0;"),), "Write return 0; here."
    return Places(found[1], (), advice, changes=(instead(evidence, finding, line, *rows),))


def sizes(evidence: Evidence, finding: Finding, row: str) -> Places:
    """The size or type in a map's declaration that the kernel refuses."""
    found = declared.MAP.search(row)
    if not found:
        return Places()
    given = [part.strip() for part in found["given"].split(",")]
    last = given[-1]
    number = declared.number(evidence.own, last)
    if len(given) > 1 and number is not None and (number == 0 or "RINGBUF" in found["kind"]):
        defined = re.search(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(last)}\s+(\d+)", evidence.own, re.MULTILINE)
        since = (f"{last} is {defined[1]}, line {_line_of(evidence.own, defined)}",) if defined else ()
        if defined and number == 0:
            made = f"#define {last} 1024"
            changed = instead(evidence, finding, _line_of(evidence.own, defined), made)
            return Places(last, since, f"A map has one entry or more: {made}", changes=(changed,))
        if "RINGBUF" not in found["kind"] or not number or defined:
            return Places(last, since)
        pages = 1 << (number - 1).bit_length()
        new = re.sub(rf"\b{last}\s*\)", f"{pages})", row_of(evidence, finding.line))
        return Places(
            last, since, f"Write {pages} for {last}: the pages of a ring buffer are a power of two.",
            changes=(instead(evidence, finding, finding.line or 0, new),),
        )  # fmt: skip
    where = dict(_structures(evidence.own))
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


def argument(evidence: Evidence, finding: Finding, row: str) -> Places:
    """An argument of a helper or of a map's method: the context that comes first, or a value in its address's place."""
    if submitted := re.search(r"\.\s*perf_submit\s*\(\s*([^,()]+?)\s*,", row):
        head = limits.line(row_of(evidence, _head(evidence, finding)))
        context = (
            "args" if "TRACEPOINT_PROBE" in head else next(iter(re.findall(r"\(\s*struct \w+ \*\s*(\w+)", head)), "")
        )
        if re.search(r"expected=ctx", finding.message) and context and context != submitted[1]:
            whole = row_of(evidence, finding.line)
            begin = whole.index(submitted[0])
            new = whole[:begin] + submitted[0].replace(submitted[1], context) + whole[begin + len(submitted[0]) :]
            return Places(
                submitted[1], (), f"The context comes first: write {context} for {submitted[1]} here.",
                changes=(instead(evidence, finding, finding.line or 0, new),),
            )  # fmt: skip
    word = re.match(r"\w+", row[finding.column - 1 :]) if finding.column else None
    one = declared.variable(evidence.own, word[0], finding.line or 0) if word else None
    if not word or not one or one.pointer or one.length:
        return Places()
    whole = row_of(evidence, finding.line)
    place = (finding.column or 1) - 1
    new = f"{whole[:place]}&{whole[place:]}"
    return Places(
        word[0], (f"{one.name} is a {one.type}, line {one.line}, and its address is due",),
        f"Write &{one.name} for {one.name}.", changes=(instead(evidence, finding, finding.line or 0, new),),
    )  # fmt: skip


def syntax(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A semicolon at a row's end, the brackets of a condition, a brace that is not closed."""
    whole, line = row_of(evidence, finding.line), finding.line or 0
    if finding.message.startswith("function definition is not allowed"):
        return _unclosed(evidence.own, line)
    if re.match(r"expected ';' (?:after|at end of)", finding.message) and (finding.column or 0) > len(row.rstrip()):
        new = f"{row.rstrip()};{whole[len(row.rstrip()) :]}"
        return Places("", (), f"Write {new.strip()}", changes=(instead(evidence, finding, line, new),))
    plain = row.rstrip().removesuffix(":").rstrip()
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
        inside = _indent(rows[number - 1])
        after = (row for row in rows[number : line - 1] if row and _indent(row) <= inside)
        if not next(after, "}").lstrip().startswith("}"):
            return Places("", (f"line {number} opens a block that nothing closes: {rows[number - 1].strip()}",))
    return Places()


def unreturned(evidence: Evidence, finding: Finding) -> Places:
    """The end of a function that returns nothing on some path."""
    line = finding.line or 0
    new = ("    return XDP_PASS;" if "xdp_md" in evidence.own else "    return 0;", row_of(evidence, line))
    advice = f"Return a number on every path: {new[0].strip()} before this line."
    return Places("", (), advice, changes=(instead(evidence, finding, line, *new),))
