"""The rules: which words of a tool mean which fault. They are data, in rules.toml beside this file."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from harness.explain.evidence import Evidence
from harness.explain.finding import Finding


@dataclass(frozen=True)
class Rule:
    """One way in which a fault shows. The first rule whose conditions all hold is taken."""

    id: str
    stage: tuple[str, ...]
    says: re.Pattern[str]
    """Found in the essential line; its named groups can be used in `cause` and `advice` as {name}."""
    cause: str
    advice: str
    page: str
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
    fact: str = ""
    """A question that the guest answered with yes."""

    def match(self, evidence: Evidence, finding: Finding) -> dict[str, str] | None:
        """The named groups where the rule fits, else None."""
        if evidence.stage not in self.stage:
            return None
        found = self.says.search(finding.message)
        if not found or (self.exception and not re.fullmatch(self.exception, evidence.exception)):
            return None
        if self.callback is not None and self.callback != evidence.callback:
            return None
        if self.fact and self.fact not in evidence.answers:
            return None
        if self.not_source and self.not_source.search(evidence.own):
            return None
        groups = {name: text or "" for name, text in found.groupdict().items()}
        rows = evidence.own.splitlines()
        own_line = rows[finding.line - 1] if finding.line and finding.line <= len(rows) else finding.shown
        whole = evidence.text + "\n" + evidence.log
        for pattern, where in (
            (self.code, finding.code), (self.line, own_line), (self.source, evidence.own), (self.text, whole),
        ):  # fmt: skip
            if pattern is None:
                continue
            more = pattern.search(where)
            if not more:
                return None
            groups |= {name: text or "" for name, text in more.groupdict().items()}
        return groups


@functools.cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order in which they are tried; TypeError for an unknown key."""
    data = tomllib.loads((Path(__file__).parent / "rules.toml").read_text())
    return tuple(_rule(entry) for entry in data["rule"])


def _rule(entry: dict[str, str]) -> Rule:
    patterns = {field.name for field in fields(Rule) if "Pattern" in str(field.type)}
    made = {
        name: re.compile(str(value), re.MULTILINE) if name in patterns else value
        for name, value in entry.items()
        if name != "stage"
    }
    return Rule(stage=tuple(entry["stage"].split()), **made)  # type: ignore[arg-type]
