"""The essential line of a failure, lifted out of the noise, and the learner's line that it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from harness.explain import forms, limits, lines, numbers, registers, stack, verifier
from harness.explain.evidence import CLANG, LLVM, WARNING, Evidence
from harness.protocol.facts import Frame
from harness.protocol.shorten import shortened

PLACE = re.compile(r"^(?:at |goroutine |\S+\.(?:go|rs|py):\d+)|^make(?:\[\d+\])?: \*\*\*")
"""Rows that only say where, or that something had failed before."""
NO_RIGHTS = re.compile(r"Operation not permitted|super-user privileges")
AUTOLOADED = re.compile(r"(?:tracepoint|k(?:ret)?probe|raw_tracepoint|k(?:ret)?func|lsm|syscall)__")
"""Begins the name of a program that BCC attaches by its name: its line is in the C text."""
SAID = re.compile(r"(?:cannot|could not|Failed to) ")
HEADER = re.compile(
    r"^<|^/(?:lib/modules|usr|virtual/include)/|(?:^|/)(?:include|arch|asm|generated)/.*\.h$|bpf/\w+\.h$|vmlinux\.h$"
)
"""Headers that are the system's, as far as their path shows; others are the learner's own text."""
CARET = re.compile(r"^[ ~]*\^[~ ]*$")
SNIPPET = re.compile(r"^ *\d+ \| ?(.*)$")


@dataclass(frozen=True)
class Finding:
    """What failed, in the tool's own words, and where."""

    message: str
    path: Path | None = None
    line: int | None = None
    column: int | None = None
    known: tuple[str, ...] = ()
    """What the kernel knew there, in words."""
    code: str = ""
    """The instruction that was refused."""
    suggestion: str = ""
    """The kernel's own advice, from 7.3 on."""
    shown: str = ""
    """The source line as the log shows it, where the learner's text is not at hand."""
    states: tuple[tuple[str, str], ...] = ()
    """What the kernel knew of the registers, as it prints it."""
    header: str = ""
    """The file and line of a header that the fault is in; empty where it is in the learner's text."""
    warning: str = ""
    """What the compiler warned of at that very line."""
    error: str = ""
    """The kernel's error number by its name, such as EACCES."""


def bounded(evidence: Evidence) -> Evidence:
    """The same evidence, as much of it as is looked at; what comes after need not ask how long a text is."""
    text = shortened(evidence.text, limits.TEXT_MAX)
    raised = "" if evidence.message in text else f"\n{evidence.exception}: {evidence.message}"
    return replace(
        evidence,
        text=text,
        said=forms.said(f"{text}{raised}"),
        log=shortened(evidence.log, limits.TEXT_MAX),
        own=limits.source(evidence.own),
        rewritten=limits.source(evidence.rewritten),
        program=limits.line(evidence.program),
        exception=limits.line(evidence.exception),
        message=limits.message(evidence.message),
    )


def find(evidence: Evidence) -> Finding:
    """The essence of a failure; `evidence` is bounded."""
    found = _found(evidence)
    return replace(
        found,
        message=limits.message(found.message),
        known=tuple(map(limits.message, found.known)),
        suggestion=limits.message(found.suggestion),
        shown=limits.line(found.shown),
        warning=limits.message(_warned(evidence, found)),
        error=_number(evidence, found),
    )


def _number(evidence: Evidence, found: Finding) -> str:
    """The error number that goes with the failure: the kernel's own first, then the essential line's."""
    if evidence.errno:
        return numbers.NAMES.get(evidence.errno, "")
    named = (numbers.name(line) for line in (found.message, *evidence.complaints[: limits.COMPLAINTS_MAX]))
    return next(filter(None, named), "")


def _warned(evidence: Evidence, found: Finding) -> str:
    """The compiler's warning at the line of the fault."""
    for warning in WARNING.finditer(evidence.said) if found.line and evidence.own else ():
        after = evidence.said[warning.end() : warning.end() + limits.LINE_MAX].lstrip("\n").splitlines()
        shown = _snippet(after)
        if _line(evidence, int(warning["line"]), shown) == found.line:
            return warning["message"]
    return ""


def _snippet(after: list[str]) -> str:
    """The source line below a message of clang's; older ones print no number before it."""
    if not after:
        return ""
    found = SNIPPET.match(after[0])
    if found:
        return limits.line(found[1])
    return limits.line(after[0]) if len(after) > 1 and CARET.match(after[1]) else ""


def _found(evidence: Evidence) -> Finding:
    if evidence.stage == "compile":
        found = _compiled(evidence)
    elif evidence.stage == "load":
        found = _loaded(evidence)
    else:
        return _raised(evidence)
    mine = _own_frames(evidence)
    if mine and NO_RIGHTS.search(found.message):  # no line of the C text is to blame
        return Finding(found.message, Path(mine[-1].path), mine[-1].line, shown=mine[-1].text)
    return found


def _own_frames(evidence: Evidence) -> list[Frame]:
    """The lines of an exception's way that are in the script's own folder."""
    home = evidence.file.parent if evidence.file and evidence.file.suffix == ".py" else None
    return [frame for frame in evidence.frames if (path := Path(frame.path)) in evidence.files and path.parent == home]


def _compiled(evidence: Evidence) -> Finding:
    errors = [*islice(CLANG.finditer(evidence.text), limits.COMPLAINTS_MAX)]
    first = next((e for e in errors if HEADER.search(e["file"])), None)  # what follows may come from it
    first = first or next((e for e in errors if e["file"].startswith("/virtual/main.c")), errors[0] if errors else None)
    if first is None:
        return _after_clang(evidence)
    shown = _snippet(evidence.text[first.end() : first.end() + 2 * limits.LINE_MAX].lstrip("\n").splitlines())
    number, message = int(first["line"]), limits.message(first["message"])
    if HEADER.search(first["file"]):
        line = _including(evidence, limits.line(first["file"]))
        return Finding(message, evidence.path, line, shown=shown, header=f"{limits.line(first['file'])}:{number}")
    if tracepoint := re.search(r"incomplete .*struct (tracepoint__\w+)'", message):
        return Finding(message, evidence.path, lines.function_line(evidence.own, tracepoint[1]))
    line = _line(evidence, number, shown)
    column = int(first["column"]) if line and _text(evidence, line) == shown else None
    if not evidence.own:
        line, column = number, int(first["column"])
        if not first["file"].startswith("/virtual/main.c"):
            return Finding(message, Path(first["file"]), line, column, shown=shown)
    return Finding(message, evidence.path, line, column, shown=shown)


def _after_clang(evidence: Evidence) -> Finding:
    """LLVM's back end, a map that was refused, or BCC itself."""
    if failed := LLVM.search(evidence.text):
        first = lines.function_line(evidence.own, limits.line(failed["function"]))
        if first and "stack" in failed["message"]:
            line: int | None = stack.largest(evidence.own, first)
        else:
            line = _of_llvm(evidence, failed["message"], first)
        return Finding(failed["message"], evidence.path, line)
    if refused := re.search(r"^.*could not open bpf map: (\w+).*$", evidence.text, re.MULTILINE):
        return Finding(refused[0].strip(), evidence.path, _declared(evidence, limits.line(refused[1])))
    return Finding(next(iter(evidence.complaints), evidence.message), evidence.path)


def _of_llvm(evidence: Evidence, message: str, first: int | None) -> int | None:
    """The learner's line of a place that LLVM's back end names, else the function's."""
    named = re.match(rf"/virtual/main\.c:({limits.DIGITS}):", message)
    return (_line(evidence, int(named[1]), "") if named and int(named[1]) else None) or first


def _loaded(evidence: Evidence) -> Finding:
    refusal = verifier.read(evidence.log) if evidence.log else verifier.read(evidence.text)
    message = refusal.message or _loader_says(evidence)
    known = [*registers.in_words(refusal), *([refusal.reason] if refusal.reason else [])]
    at = refusal.instruction if refusal.instruction is not None else next(iter(evidence.calls), -1)
    line = _of_instruction(evidence, at)
    if line is None and refusal.comment:
        line = _line(evidence, refusal.comment_line or 0, limits.line(refusal.comment))
    if line is None and evidence.own and evidence.program:
        line = lines.function_line(evidence.own, evidence.program)
    return Finding(
        message, evidence.path, line, None, tuple(known), refusal.code, refusal.suggestion, refusal.comment,
        refusal.registers,
    )  # fmt: skip


def _of_instruction(evidence: Evidence, at: int) -> int | None:
    """The learner's line of an instruction. What a macro defines ends at the macro's line: go back to a real one."""
    listed = sorted({number for number in evidence.lines if number <= at}, reverse=True)
    if not listed:
        return None
    line = _line(evidence, evidence.lines[listed[0]], "")
    if line is None or line != lines.function_line(evidence.own, evidence.program):
        return line
    earlier = dict.fromkeys(evidence.lines[number] for number in listed)
    before = (_line(evidence, number, "") for number in islice(earlier, limits.STEPS_BACK_MAX))
    return next((found for found in before if found not in (None, line)), line)


def _loader_says(evidence: Evidence) -> str:
    """What was said where the verifier said nothing."""
    found = re.search(r"^bpf: (.*)$", evidence.text, re.MULTILINE)
    return found[1] if found else evidence.message or next(iter(evidence.complaints), "")


def _raised(evidence: Evidence) -> Finding:
    """An exception: the innermost line in the user's own files; where BCC attached by name, the program's own line."""
    message = evidence.message or next(filter(SAID.match, reversed(evidence.text.splitlines())), "")
    if evidence.exception == "SystemExit" and message.isdigit():  # the words are above, such as argparse's
        message = _last_line(evidence)
    elif evidence.exception and evidence.exception != "Exception":
        message = f"{evidence.exception}: {message}"
    mine = _own_frames(evidence)
    autoload = any("_trace_autoload" in frame.text for frame in evidence.frames)
    named = re.search(r"BPF program b?'?(\w+)'?", evidence.message)
    autoload |= bool(named and AUTOLOADED.match(named[1]))
    if evidence.own and evidence.path and (autoload or not mine):
        name = named[1] if named else evidence.program
        line = lines.function_line(evidence.own, name) if name else None
        line = line or _mention(evidence, _event(evidence.message))
        if line or not mine:
            return Finding(message or _last_line(evidence), evidence.path, line)
    if mine:
        return Finding(message, Path(mine[-1].path), mine[-1].line, shown=mine[-1].text)
    return Finding(message or _last_line(evidence), evidence.file)


def _event(message: str) -> str:
    """A pattern for the function or tracepoint that an attach failure names."""
    found = re.search(r"(?:kprobe|kretprobe|tracepoint) b?'(?:\w+:)?(\w+)'", message)
    return rf"{found[1]}\b" if found else r"(?!)"


def _last_line(evidence: Evidence) -> str:
    """The line that says most where no exception does: the first complaint, never the last row of a stack."""
    if complaints := [row for row in evidence.complaints if not PLACE.match(row)]:
        return next((row for row in complaints if not row.startswith("Traceback")), complaints[0])
    return next(filter(None, map(str.strip, reversed(evidence.said.splitlines()))), "")


def _line(evidence: Evidence, number: int, shown: str) -> int | None:
    """The learner's line for line `number` of the text that a tool saw, which says `shown` there."""
    if not evidence.own:
        return None
    rewritten = evidence.rewritten.splitlines()
    if evidence.rewritten and number and (not shown or _says(rewritten, number, shown)):
        mapped = lines.aligned(evidence.rewritten, evidence.own).get(number)
        if mapped is not None:
            return mapped
    if not shown and 0 < number <= len(rewritten):
        shown = rewritten[number - 1]
    own = evidence.own.splitlines()
    if shown and 0 < number <= len(own) and own[number - 1].split() == shown.split():
        return number
    return lines.by_text(shown, evidence.own, number)


def _says(rewritten: list[str], number: int, shown: str) -> bool:
    return 0 < number <= len(rewritten) and rewritten[number - 1].split() == shown.split()


def _text(evidence: Evidence, line: int) -> str:
    rows = evidence.own.splitlines()
    return rows[line - 1] if 0 < line <= len(rows) else ""


def _mention(evidence: Evidence, pattern: str) -> int | None:
    """The first line of the learner's text that `pattern` is found in."""
    return next((n for n, row in enumerate(evidence.own.splitlines(), 1) if re.search(pattern, row)), None)


def _declared(evidence: Evidence, table: str) -> int | None:
    """Where a map is declared."""
    return _mention(evidence, rf"\bBPF_\w+\s*\(.*\b{table}\b") or _mention(evidence, rf"\b{table}\b")


def _including(evidence: Evidence, header: str) -> int | None:
    """The #include of the learner's that an error inside a header came from."""
    found = re.search(r"In file included from /virtual/main\.c:(\d{1,9})", evidence.text)
    name = header.split("include/")[-1]
    return (_line(evidence, int(found[1]), "") if found else None) or _mention(
        evidence, rf"#include.*{re.escape(name)}"
    )
