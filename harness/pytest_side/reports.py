"""pytest's reports on the host: those from the lab with their verdict, and those that the lab could not send."""

from __future__ import annotations

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

from harness.errors import HarnessFault, LabError
from harness.protocol.messages import Phase, Reported, Uncollectable
from harness.protocol.visible import visible
from harness.run import verdict
from harness.run.request import Request
from harness.run.session import Died

Captured = dict[str, str]
"""Stream → what was printed since the last report."""


class Failure(TerminalRepr):
    """pytest's account of a failure in the guest: its text, and where the summary and the editors look."""

    def __init__(self, text: str, crash: ReprFileLocation | None) -> None:
        self._text = text
        self.reprcrash = crash

    def toterminal(self, tw: TerminalWriter) -> None:
        """Error lines are red, as pytest has them."""
        for line in self._text.splitlines():
            tw.line(line, red=line.startswith("E "), bold=line.startswith("E "))


def of(item: pytest.Item, said: Reported, request: Request, captured: Captured) -> pytest.TestReport:
    """The report of `item` that the guest's report of it, or of one of its cases, makes."""
    found = verdict.of(said, request, captured.get("stderr", ""))
    longrepr: object = None
    if said.outcome == "failed":
        longrepr = str(found) if found.kind in ("todo", "lab") else Failure(said.text, _crash(said))
    elif said.outcome == "skipped":
        longrepr = (str(item.path), (item.location[1] or 0) + 1, said.text)
    report = _report(item, said.outcome, longrepr, found.kind, said.when, said.duration)
    if found.kind == "broken" or verdict.LIKELY in found.text or said.facts.kept is not None:
        report.sections.append(("What is wrong", str(found)))
    report.sections += _sections(captured, said.when)
    return report


def _crash(said: Reported) -> ReprFileLocation | None:
    """Where it failed, and the first line of why."""
    if not said.facts.frames:
        return None
    last, words = said.facts.frames[-1], said.facts.message
    if said.facts.exception != "AssertionError" or not words.startswith("assert"):  # as ExceptionInfo.exconly has it
        words = f"{said.facts.exception}: {words}"
    return ReprFileLocation(last.path, last.line, words)


def _sections(captured: Captured, when: str) -> list[tuple[str, str]]:
    return [(f"Captured {stream} {when}", text) for stream, text in captured.items() if text]


def of_lab_error(item: pytest.Item, error: LabError) -> pytest.TestReport:
    """A failure of `item` that says nothing about the learner's code."""
    text = f"{error}\nThis is a fault of the lab, not of your code." + (
        f"\nnext: {error.remedy}" if error.remedy else ""
    )
    sections = {"the guest's console": getattr(error, "console", "")}
    if isinstance(error, HarnessFault):
        sections["the workbook's traceback"] = error.traceback
    return _failure(item, text, "lab", {title: words for title, words in sections.items() if words})


def of_debugger(item: pytest.Item) -> pytest.TestReport:
    """A failure of `item`, which was not run: a debugger here would see nothing of what runs in the lab."""
    lesson = item.path.parent.name[:2]
    text = (
        "A debugger here does not reach into the lab, where this test runs. Run it without debugging, or look around\n"
        f"inside: `workbook shell {lesson}` opens a terminal in the lab with your files in it."
    )
    return _failure(item, text, "lab", {})


def of_death(item: pytest.Item, event: Died, request: Request, captured: Captured) -> pytest.TestReport:
    """A failure of `item` because its process, or the guest, ended under it."""
    sections = {f"Captured {stream}": text for stream, text in captured.items() if text}
    if event.lab:
        return _failure(item, event.reason, "lab", sections | {"the guest's console": event.console})
    found = verdict.of_death(event.reason, request, captured.get("stderr", ""))
    if found.kind == "broken":
        return _failure(item, f"{found}\n\n{event.reason}", "broken", sections)
    return _failure(item, event.reason, "red", sections)


def of_no_report(item: pytest.Item, unread: Uncollectable | None) -> pytest.TestReport:
    """A failure of `item` because its file could not be read, or because the guest did not find it there."""
    if unread is None:
        return _failure(item, "the lab did not find this test; is its name made at run time?", "not run", {})
    return _failure(item, f"{item.path.name} cannot be read:\n{unread.text}", "red", {})


def _failure(item: pytest.Item, text: str, kind: verdict.Kind, sections: dict[str, str]) -> pytest.TestReport:
    report = _report(item, "failed", visible(text), kind, "call", 0.0)
    report.sections += [(title, visible(words)) for title, words in sections.items() if words]
    return report


def _report(
    item: pytest.Item, outcome: str, longrepr: object, kind: verdict.Kind, when: Phase, duration: float
) -> pytest.TestReport:
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,  # type: ignore[arg-type] # one of pytest's three
        longrepr=longrepr,  # type: ignore[arg-type] # what pytest takes
        when=when,
        duration=duration,
    )
    report.verdict = kind  # type: ignore[attr-defined]
    return report
