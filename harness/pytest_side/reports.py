"""pytest's reports on the host: those from the lab with their verdict, and those the lab could not send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.course.catalog import Lesson
from harness.errors import LabError
from harness.run import outcome, verdict
from harness.run.session import Died


def complete(report: pytest.TestReport, lesson: Lesson, code: Path, captured: dict[str, str]) -> None:
    """Give `report` its verdict in words, and `captured` output as sections."""
    for stream, text in captured.items():
        report.sections.append((f"Captured {stream} {report.when}", text))
    if isinstance(report.longrepr, list):  # a skip's place and reason, a tuple before it was JSON
        report.longrepr = tuple(report.longrepr)
    facts: dict[str, Any] = getattr(report, "facts", {})
    found = verdict.of(report.outcome, facts, lesson, code, captured.get("stderr", ""))
    report.verdict = found.kind  # type: ignore[attr-defined]
    if found.kind == "todo":
        report.longrepr = str(found)
    elif found.kind == "broken" or verdict.SILENT in found.text:
        report.sections.insert(0, ("What is wrong", str(found)))


def of_lab_error(item: pytest.Item, error: LabError) -> pytest.TestReport:
    """A failure of `item` that says nothing about the learner's code."""
    console = getattr(error, "console", "")
    text = f"{error}\nThis is a fault of the lab, not of your code." + (
        f"\nnext: {error.remedy}" if error.remedy else ""
    )
    return _failure(item, text, "lab", {"the guest's console": console} if console else {})


def of_debugger(item: pytest.Item) -> pytest.TestReport:
    """A failure of `item`, which was not run: a debugger here would see nothing of what runs in the lab."""
    lesson = item.path.parent.name[:2]
    text = (
        "A debugger here does not reach into the lab, where this test runs. Run it without debugging, or look around\n"
        f"inside: `workbook shell {lesson}` opens a terminal in the lab with your files in it."
    )
    return _failure(item, text, "lab", {})


def of_death(item: pytest.Item, event: Died, lesson: Lesson, code: Path, captured: dict[str, str]) -> pytest.TestReport:
    """A failure of `item` because its process, or the guest, ended under it."""
    if not event.lab:
        found = verdict.of_death(event.reason, lesson, code, captured.get("stderr", ""))
        if found.kind == "broken":
            sections = {f"Captured {stream}": text for stream, text in captured.items()}
            return _failure(item, f"{found}\n\n{event.reason}", "broken", sections)
    sections = {f"Captured {stream}": text for stream, text in captured.items()}
    if event.console:
        sections["the guest's console"] = event.console
    return _failure(item, event.reason, "lab" if event.lab else "red", sections)


def of_silence(item: pytest.Item, collect: dict[str, Any] | None) -> pytest.TestReport:
    """A failure of `item` because its file could not be read, or because the guest did not find it there."""
    if collect is None:
        return _failure(item, "the lab did not find this test; is its name made at run time?", "red", {})
    return _failure(item, f"{item.path.name} cannot be read:\n{outcome.collect_text(collect)}", "red", {})


def _failure(item: pytest.Item, text: str, kind: verdict.Kind, sections: dict[str, str]) -> pytest.TestReport:
    report = pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=text,
        when="call",
        sections=list(sections.items()),
    )
    report.verdict = kind  # type: ignore[attr-defined]
    return report
