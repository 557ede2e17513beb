"""What is pointed at beside a rule's own words: the token, where it comes from, what to try in the program's names."""

from __future__ import annotations

from dataclasses import dataclass

from harness.explain import change
from harness.explain.change import Change
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding


@dataclass(frozen=True)
class Places:
    """What is known beside the rule's own words; empty where nothing is."""

    token: str = ""
    """Underlined in the line of the fault."""
    since: tuple[str, ...] = ()
    advice: str = ""
    register: str = ""
    """The register that holds the token."""
    changes: tuple[Change | None, ...] = ()
    """What `advice` means as lines of the text; of several the first that helps is enough, None stands for none."""
    line: int | None = None
    """The line that is to be shown, where it is not that of the refused instruction: a loop's head."""


def before(evidence: Evidence, finding: Finding, *statements: str) -> Change | None:
    """`statements` before the line of the fault."""
    if finding.path is None or not finding.line:
        return None
    return change.before(evidence.own, finding.path, finding.line, *statements)


def instead(evidence: Evidence, finding: Finding, line: int, *rows: str) -> Change | None:
    """`rows` in place of a line."""
    return change.instead(evidence.own, finding.path, line, *rows) if finding.path else None


def row_of(evidence: Evidence, line: int | None) -> str:
    """A line of the learner's text, as it is written."""
    return evidence.own.splitlines()[line - 1] if line else ""
