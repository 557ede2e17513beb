"""Asks a fresh guest for its points, and searches them.

The lists come as the kernel prints them and are searched here: in an emulated guest Python needs longer to start than
the host for all of the search, and no code has to travel.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import GuestLost, UsageError
from harness.lab.guest import Completed, Guest, Lab
from harness.probes import points, questions, searching
from harness.probes.btf import Btf, BtfError, Signature
from harness.probes.points import Function, Listed, OddAnswer, Point, Tracepoint
from harness.probes.questions import Named, Question
from harness.protocol.shorten import shortened
from harness.protocol.visible import visible

TRACING = Path("/sys/kernel/tracing")
BTF = Path("/sys/kernel/btf/vmlinux")
BLACKLIST = Path("/sys/kernel/debug/kprobes/blacklist")
SHOWN_MAX = 500
"""Points of one kind whose types and fields are asked for."""
FIND_FILE = """\
case $1 in
/*) file=$1 ;;
*) file=$(command -v -- "$1") || for file in /usr/lib/*-linux-gnu/lib"$1".so.[0-9]*; do break; done ;;
esac
test -f "$file" || { echo "$1: the lab has no such file, program or library" >&2; exit 1; }
readlink -f -- "$file"
"""
"""A shell's script: the file in the guest that is meant by a path, a program's name or a library's, as in `c`."""
LIST_FILE = """\
nm -D --defined-only -f posix -- "$1" 2>/dev/null
nm --defined-only -f posix -- "$1" 2>/dev/null
echo
readelf --notes --wide -- "$1"
"""


@dataclass(frozen=True)
class Found:
    """Points of one kind that fit."""

    total: int
    shown: tuple[Point, ...]
    """The best of them."""


@dataclass(frozen=True)
class Answered:
    """A question of the table, with its probes as this kernel has them."""

    question: Question
    probes: tuple[tuple[Named, Function | Tracepoint | None], ...]
    """None: this kernel has no such probe."""


@dataclass(frozen=True)
class Answer:
    """All that was found."""

    questions: tuple[Answered, ...] = ()
    functions: Found = Found(0, ())
    tracepoints: Found = Found(0, ())
    symbols: Found = Found(0, ())
    usdt: Found = Found(0, ())
    file: str = ""
    """The file in the lab that was searched instead of the kernel."""
    near: tuple[str, ...] = ()
    """Where nothing was found: names close to the one that was asked for."""

    @property
    def is_empty(self) -> bool:
        kinds = (self.functions, self.tracepoints, self.symbols, self.usdt)
        return not self.questions and not any(kind.total for kind in kinds)


def kernel(lab: Lab, words: Sequence[str], shown_max: int) -> Answer:
    """The functions and tracepoints of the lab's kernel that fit `words`, at most `shown_max` of each with their types.

    GuestLost where the guest answers with something else.
    """
    with lab.open() as guest:
        try:
            listed = _kernels(guest)
            answer = _search(listed, words, shown_max)
            return _described(guest, answer)
        except (OddAnswer, BtfError) as error:
            raise GuestLost(f"the lab's list of probes is none: {error}") from error


def file(lab: Lab, name: str, words: Sequence[str], shown_max: int) -> Answer:
    """The functions and USDT probes that fit `words` of a file in the lab: a path, a program's or a library's name.

    UsageError where the lab has no such file, or it is no program.
    """
    with lab.open() as guest:
        path = _said(guest.run(["sh", "-c", FIND_FILE, "sh", name])).strip()
        listed, _, notes = _said(guest.run(["sh", "-c", LIST_FILE, "sh", path])).partition("\n\n")
    there = Listed(symbols=points.symbols(listed), usdt=points.usdt(notes))
    return replace(_search(there, words, shown_max), file=visible(path))


def _kernels(guest: Guest) -> Listed:
    functions = _told(guest.run(["cat", str(TRACING / "available_filter_functions")]))
    blacklist = _told(guest.run(["cat", str(BLACKLIST)]))
    events = _told(guest.run(["cat", str(TRACING / "available_events")]))
    return Listed(points.functions(functions, blacklist), points.tracepoints(events))


def _search(listed: Listed, words: Sequence[str], shown_max: int) -> Answer:
    kinds = (listed.functions, listed.tracepoints, listed.symbols, listed.usdt)
    functions, tracepoints, symbols, usdt = (_fitting(kind, words, shown_max) for kind in kinds)
    kernel: dict[str, Function | Tracepoint] = {**listed.functions, **listed.tracepoints}
    answered = tuple(
        Answered(one, tuple((named, kernel.get(named.name)) for named in one.probes))
        for one in (questions.asked(words) if kernel else ())
    )
    answer = Answer(answered, functions, tracepoints, symbols, usdt)
    names = [name for kind in kinds for name in kind]
    return replace(answer, near=tuple(searching.near(names, words))) if answer.is_empty else answer


def _fitting(kind: dict[str, Function] | dict[str, Tracepoint] | dict[str, points.Symbol] | dict[str, points.Usdt],
             words: Sequence[str], shown_max: int) -> Found:  # fmt: skip
    names = searching.matching(kind, words)
    return Found(len(names), tuple(kind[name] for name in names[: min(shown_max, SHOWN_MAX)]))


def _described(guest: Guest, answer: Answer) -> Answer:
    """The same with the types of arguments and fields, as far as the kernel knows them."""
    named = [point for one in answer.questions for _, point in one.probes if point]
    shown = [*answer.functions.shown, *answer.tracepoints.shown, *named]
    functions = {point.name: point for point in shown if isinstance(point, Function)}
    tracepoints = {point.name: point for point in shown if isinstance(point, Tracepoint)}
    known: dict[str, Function | Tracepoint] = {**_typed(guest, functions), **_formatted(guest, tracepoints)}
    return replace(
        answer,
        questions=tuple(
            Answered(one.question, tuple((each, point and known[point.name]) for each, point in one.probes))
            for one in answer.questions
        ),
        functions=replace(answer.functions, shown=tuple(known[point.name] for point in answer.functions.shown)),
        tracepoints=replace(answer.tracepoints, shown=tuple(known[point.name] for point in answer.tracepoints.shown)),
    )


def _typed(guest: Guest, functions: dict[str, Function]) -> dict[str, Function]:
    """The kernel's own functions with their types; those of modules, and of a kernel without BTF, without."""
    own = [name for name, one in functions.items() if not one.module]
    coded = guest.run(["base64", "-w0", str(BTF)]) if own else Completed(1, "", "")
    if coded.status != 0:
        return functions
    try:
        signatures = Btf.load(base64.b64decode(coded.out, validate=True)).signatures(own)
    except binascii.Error as error:
        raise BtfError("not whole") from error
    return {name: _with(one, signatures.get(name)) for name, one in functions.items()}


def _with(function: Function, signature: Signature | None) -> Function:
    if signature is None:
        return function
    takes = tuple(visible(one) for one in signature.takes)
    return replace(function, returns=visible(signature.returns), takes=takes)


def _formatted(guest: Guest, tracepoints: dict[str, Tracepoint]) -> dict[str, Tracepoint]:
    if not tracepoints:
        return {}
    paths = [str(TRACING / "events" / name.replace(":", "/") / "format") for name in tracepoints]
    found = points.fields(_told(guest.run(["cat", *paths])))
    if [name for name, _ in found] != [name.split(":")[1] for name in tracepoints]:
        raise OddAnswer("formats of other tracepoints than were asked for")
    return {name: Tracepoint(name, fields) for name, (_, fields) in zip(tracepoints, found, strict=True)}


def _told(done: Completed) -> str:
    """What a command of ours printed; GuestLost where it failed."""
    if done.status != 0:
        raise GuestLost(f"the lab does not list its probes: {visible(shortened(done.err.strip(), 300))}")
    return done.out


def _said(done: Completed) -> str:
    """What a command printed about a file that the user named; UsageError where it failed."""
    if done.status != 0:
        raise UsageError(visible(shortened(done.err.strip(), 300)), remedy="workbook lab exec -- ls /usr/bin")
    return done.out
