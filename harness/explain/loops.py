"""The places of what the verifier follows for too long: a loop at its head, else a function's conditions."""

from __future__ import annotations

import re

from harness.explain import declared
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of

HEAD = re.compile(r"^(?P<indent>\s+)(?P<word>for|while|do)\b\s*(?:\((?P<given>.*)\)\s*(?P<end>\{?)\s*)?")
BRANCHES_MIN = 8
"""Conditions in one function that can be too many together."""
ROUNDS = 16
"""Of a loop in an advice: few enough for any verifier."""


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
    since = f"{len(where)} conditions follow one another, lines {where[0]} to {where[-1]}"
    return Places("if", (since,), line=where[0])


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
    if defined := declared.defined(own, found[1]):
        return (f"{found[1]} is {defined[0]}, line {defined[1]}",)
    one = declared.variable(own, found[1], line)
    if one and one.value.isdigit():
        return (f"{found[1]} is {one.value}, line {one.line}",)
    return (f"{found[1]} is known only when the program runs, line {one.line}",) if one else ()


def _loop_around(own: str, line: int) -> tuple[int, re.Match[str] | None]:
    """The innermost loop that `line` is in or begins, as far as its indentation tells."""
    rows = own.splitlines()
    inside = declared.indent(rows[line - 1])
    for number in range(line, declared.function_of(own, line)[0], -1):
        row = declared.code(rows[number - 1])
        found = HEAD.match(row)
        if found and (number == line or declared.indent(row) < inside):
            return number, found
    return line, None
