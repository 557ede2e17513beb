"""`workbook probes`: where a probe can be attached, found by name or by what one wants to know."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import InLab, Json, opened, show, show_json
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.probes.asking import Answer, Answered, Found
    from harness.probes.points import Point

app = typer.Typer()

KINDS = {
    "functions": "kernel functions",
    "tracepoints": "tracepoints",
    "symbols": "functions of the file",
    "usdt": "USDT probes",
}
"""What an answer holds → its words on the screen."""


@app.command(cls=InLab)
def probes(
    pattern: Annotated[
        list[str] | None,
        typer.Argument(help="a question, a part of a name, or a pattern: 'vfs_*'", metavar="[PATTERN...]"),
    ] = None,
    file: Annotated[
        str, typer.Option(metavar="FILE", help="search a file of the lab: a path, a program, or a library as in c")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="how many of each kind are shown")] = 10,
    as_json: Json = False,
) -> None:
    """Find the place for a probe, by question or by name.

    A question: workbook probes who deletes files. Alone, the command lists the questions
    that it knows.

    A name: workbook probes unlink finds each kernel function and tracepoint with "unlink"
    in its name; several words must all be in it. With * ? or [ it is a pattern for the
    whole name: 'tcp_*', 'syscalls:sys_enter_*at'.

    A function is shown as C declares it, if the kernel knows its types (BTF); a tracepoint
    with the fields of its record. A function's name and arguments can change with any
    kernel. A tracepoint rarely does: try it first.

    With --file it searches a program or a library of the lab: its functions (uprobes) and
    the probes that its author left in it (USDT).

    Exits 2 if nothing fits, and names what is close.
    """
    words = pattern or []
    if not words and not file:
        _list_questions(as_json)
        return
    from harness.probes import asking

    if file:
        found = asking.file(opened("vm"), file, words or ["*"], limit)
    else:
        found = asking.kernel(opened("vm"), words, limit)
    if found.is_empty:
        raise _nothing(found, words)
    show_json(_data(found)) if as_json else _print(found, limit)


def _list_questions(as_json: bool) -> None:
    from harness.probes import questions

    asks = [question.ask for question in questions.every()]
    if as_json:
        show_json(asks)
        return
    for ask in asks:
        show(ask)
    show("next: workbook probes who deletes files, or a part of a name: workbook probes unlink")


def _nothing(found: Answer, words: list[str]) -> UsageError:
    """The error for an empty answer, with what is close."""
    where = found.file or "this kernel"
    close = f"; close to it: {', '.join(found.near)}" if found.near else ""
    option = f"--file {found.file} " if found.file else ""
    if found.near:
        remedy = f"workbook probes {option}{shlex.quote(found.near[0])}"
    else:
        remedy = f"workbook probes --file {found.file} lists all" if found.file else "workbook probes lists questions"
    return UsageError(f"{where} has no probe that fits {' '.join(words)!r}{close}", remedy=remedy)


def _data(found: Answer) -> dict[str, Any]:
    """The answer as JSON holds it."""
    asked = [
        {
            "ask": one.question.ask,
            "try": one.question.workload,
            "probes": [asdict(named) | {"here": asdict(point) if point else None} for named, point in one.probes],
        }
        for one in found.questions
    ]
    return {"file": found.file, "questions": asked} | {kind: asdict(getattr(found, kind)) for kind in KINDS}


def _print(found: Answer, limit: int) -> None:
    if found.file:
        show(f"{found.file}, in the lab", style="bold")
    for answered in found.questions:
        _print_answered(answered)
    shown: list[Point] = [point for one in found.questions for _, point in one.probes if point]
    for kind, title in KINDS.items():
        some: Found = getattr(found, kind)
        if some.total:
            _print_some(title, some, limit)
            shown += some.shown
    for line in _attaching(shown, found.file):
        show(line)


def _print_answered(answered: Answered) -> None:
    """A question of the table: each probe, what it sees, and what it is made of."""
    show(answered.question.ask, style="bold")
    for named, point in answered.probes:
        kind = "tracepoint" if named.is_tracepoint else "function"
        show(f"  {kind} {named.name}: {named.sees}", style="" if point else "dim")
        show(f"      {_made_of(point) if point else 'not in this kernel'}", style="dim")
    show(f"  try it on: {answered.question.workload}")
    show("")


def _print_some(title: str, some: Found, limit: int) -> None:
    show(f"{title}: {some.total}", style="bold")
    for point in some.shown:
        show(f"  {point.name}{_remark(point)}")
        if made_of := _made_of(point):
            show(f"      {made_of}", style="dim")
    if more := some.total - len(some.shown):
        show(f"  … {more} more: say more of the name, or --limit {limit + more if limit + more <= 500 else 500}")
    show("")


def _remark(point: Point) -> str:
    from harness.probes.points import Function, Usdt

    match point:
        case Function(same=same) if same > 1:
            return f"  ({same} functions have this name: a probe by name may be refused)"
        case Function(module=module) if module:
            return f"  (module {module})"
        case Usdt(places=places, asleep=asleep):
            where = "1 place" if places == 1 else f"{places} places"
            return f"  ({where}{', off until a tracer enables it' if asleep else ''})"
    return ""


def _made_of(point: Point) -> str:
    """Arguments or fields, on one line."""
    from harness.probes.points import Function, Tracepoint, Usdt

    match point:
        case Function(takes=None):
            return "the kernel does not say what it takes"
        case Function(name=name, returns=returns, takes=takes):
            space = "" if returns.endswith("*") else " "
            return f"{returns}{space}{name}({', '.join(takes or ()) or 'void'})"
        case Tracepoint(fields=fields):
            return ", ".join(fields) or "no fields"
        case Usdt(arguments=arguments):
            return "1 argument" if arguments == 1 else f"{arguments} arguments"
    return ""


def _attaching(shown: list[Point], file: str) -> list[str]:
    """How to attach to the first point of each kind, with the lesson that teaches it."""
    from harness.probes.points import Function, Symbol, Tracepoint, Usdt

    lines: dict[type[Point], str] = {}
    for point in shown:
        match point:
            case Function(name=name):
                how = f'as in lesson 01: bpf.attach_kprobe(event=b"{name}", fn_name=b"…")'
            case Tracepoint(name=name):
                how = f"as in lesson 06: TRACEPOINT_PROBE({name.replace(':', ', ')}) {{ … args->… }}"
            case Symbol(name=name):
                how = f'as in lesson 05: bpf.attach_uprobe(name=b"{file}", sym=b"{name}", fn_name=b"…")'
            case Usdt(name=name):
                how = f'as in lesson 05: USDT(pid=…).enable_probe("{name}", "…")'
        lines.setdefault(type(point), how)
    return list(lines.values())
