"""The rules: which words of a tool mean which fault. They are data, in the folder rules beside this file.

The first rule whose conditions all hold is taken: those for a stage's whole output stand before those for one line of
it, narrow ones before wide ones. A rule names a cause only where what it has seen has no other.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from harness.explain import near, numbers, places, registers
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding

FILES = ("install", "system", "headers", "compile", "load", "attach", "run", "rest")
"""In the order in which they are tried."""
PAGE = 4096
"""No address is below it: the kernel maps nothing there."""


@dataclass(frozen=True)
class Rule:
    """One way in which a fault shows. The first rule whose conditions all hold is taken."""

    id: str
    stage: tuple[str, ...]
    cause: str
    advice: str
    page: str
    says: re.Pattern[str] | None = None
    """Found in the essential line; its named groups can be used in `cause` and `advice` as {name}."""
    seen: re.Pattern[str] | None = None
    """Found in what the tools said; the line that it is found in becomes the essential one."""
    error: str = ""
    """Names of the kernel's error numbers, one of which goes with the failure, or with the line of `seen`."""
    older: str = ""
    """The running kernel is known, and older than this."""
    warning: re.Pattern[str] | None = None
    """Found in what the compiler warned of at the refused line."""
    header: re.Pattern[str] | None = None
    """Found in the name of the header that the fault is in. No rule without this is tried for a fault in a header."""
    code: re.Pattern[str] | None = None
    """Found in the refused instruction."""
    line: re.Pattern[str] | None = None
    """Found in the learner's line."""
    source: re.Pattern[str] | None = None
    """Found in the learner's whole text."""
    text: re.Pattern[str] | None = None
    """Found in all that was printed, the verifier's log included."""
    not_source: re.Pattern[str] | None = None
    """Not found in the learner's whole text."""
    blames: re.Pattern[str] | None = None
    """Where in the learner's text the fault is, from the refused instruction's line on, if one is named."""
    exception: str = ""
    callback: bool | None = None
    narrow: bool = False
    """The refused line hands a map's method a key or value of another size than the map's."""
    state: re.Pattern[str] | None = None
    """Found in what the kernel knew of the register that the essential line names first."""
    small_number: str = ""
    """The group that names the register which the instruction follows; it holds a number that is no address."""
    defined: str = ""
    """What {name} is: a type, constant or function whose header is known (names.toml)."""
    fact: str = ""
    """A question that the guest answered with yes."""

    def match(self, evidence: Evidence, finding: Finding) -> Match | None:
        """The named groups and the essential line where the rule fits, else None."""
        if not self._holds(evidence, finding):
            return None
        message, error = finding.message, finding.error
        groups: dict[str, str] = {}
        if self.seen:
            if not (found := self.seen.search(evidence.said)):
                return None
            message = _line_of(found).strip()
            error = numbers.name(message) or finding.error
            groups |= found.groupdict(default="")
        if self.error and error not in self.error.split():
            return None
        rows = evidence.own.splitlines()
        own_line = rows[finding.line - 1] if finding.line and finding.line <= len(rows) else finding.shown
        whole = evidence.text + "\n" + evidence.log
        said = finding.message.replace("; ", "\n") if evidence.stage == "load" else finding.message
        for pattern, where in (
            (self.says, said), (self.code, finding.code), (self.line, own_line),
            (self.warning, finding.warning), (self.header, finding.header), (self.state, _state(finding)),
            (self.source, evidence.own), (self.text, whole),
        ):  # fmt: skip
            if pattern is None:
                continue
            more = pattern.search(where)
            if not more:
                return None
            groups |= more.groupdict(default="")
        if self.narrow:
            if (found_narrow := places.narrow(evidence.own, finding.line)) is None:
                return None
            groups |= found_narrow
        if self.small_number:
            value = registers.constant(dict(finding.states).get(f"R{groups[self.small_number]}", ""))
            if value is None or abs(value) >= PAGE:
                return None
            groups["value_words"] = f"the number {value}"
        if self.defined and not _missing(near.header_of(groups["name"], self.defined), evidence.own):
            return None
        return Match(message, groups | {"error": error} if error else groups)

    def _holds(self, evidence: Evidence, finding: Finding) -> bool:
        """Whether the conditions hold that need no search, or none of what was said."""
        if evidence.stage not in self.stage and "any" not in self.stage:
            return False
        if finding.header and not self.header and not self.seen:
            return False
        if self.exception and not re.fullmatch(self.exception, evidence.exception):
            return False
        if self.callback is not None and self.callback != evidence.callback:
            return False
        if self.fact and self.fact not in evidence.answers:
            return False
        if self.older and not (evidence.kernel and evidence.kernel < tuple(map(int, self.older.split(".")))):
            return False
        return not (self.not_source and self.not_source.search(evidence.own))


@dataclass(frozen=True)
class Match:
    """What a rule found: its essential line, and its groups by name."""

    message: str
    groups: dict[str, str]


def _missing(header: str, own: str) -> bool:
    """Whether a header is known, and not included already."""
    return bool(header) and not re.search(rf"#\s*include\s*<{re.escape(header)}>", own)


def _state(finding: Finding) -> str:
    named = re.search(r"\bR\d+", finding.message)
    return dict(finding.states).get(named[0], "") if named else ""


def _line_of(found: re.Match[str]) -> str:
    """The whole line that a match begins in."""
    begin = found.string.rfind("\n", 0, found.start()) + 1
    end = found.string.find("\n", found.start())
    return found.string[begin : end if end >= 0 else len(found.string)]


@functools.cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order in which they are tried; TypeError for an unknown key."""
    texts = ((Path(__file__).parent / "rules" / f"{name}.toml").read_text() for name in FILES)
    return tuple(_rule(entry) for text in texts for entry in tomllib.loads(text)["rule"])


def _rule(entry: dict[str, str]) -> Rule:
    patterns = {field.name for field in fields(Rule) if "Pattern" in str(field.type)}
    made = {
        name: re.compile(str(value), re.MULTILINE) if name in patterns else value
        for name, value in entry.items()
        if name != "stage"
    }
    return Rule(stage=tuple(entry["stage"].split()), **made)  # type: ignore[arg-type]
