"""One lesson's run, seen from pytest on the host: events from the lab become reports of the host's items."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

import pytest

from harness.course.catalog import Lesson
from harness.lab.channel import Output
from harness.lab.guest import Lab
from harness.protocol.messages import Collected, Finished, Reported, Uncollectable, Warned
from harness.protocol.names import function_of
from harness.protocol.visible import visible
from harness.pytest_side import reports
from harness.pytest_side.reports import Captured
from harness.run import request, session
from harness.run.outcome import OUTPUT_KEPT
from harness.run.session import Died, Event

WORST_FIRST = ("failed", "skipped", "passed")


class GuestWarning(UserWarning):
    """A warning that pytest recorded in the guest."""


@dataclass
class _State:
    """What is known of one item."""

    item: pytest.Item
    waiting: list[pytest.TestReport] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    """The guest's node ids that belong to this item and have not ended."""
    folded: bool = False
    """True when the guest has several tests for this one item."""
    spoke: bool = False


class RemoteRun:
    """A stream of events, handed out to the items that it belongs to."""

    def __init__(
        self, config: pytest.Config, lab: Lab, lesson: Lesson, items: list[pytest.Item], live: TextIO | None
    ) -> None:
        self._config, self._live = config, live
        self._states = {item.nodeid: _State(item) for item in items}
        self._collected = False
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._unreadable: dict[str, Uncollectable] = {}
        whole = request.of_lesson(
            lesson,
            config.option.tree,
            tests=tuple(dict.fromkeys(item.path for item in items)),
            options=_options(config),
            seed=config.option.seed,
        )
        self._request = whole.restricted(tuple(self._states))
        self._events = session.run(lab, self._request)

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """All reports of `item`, as they come; LabError when the lab cannot run it."""
        state = self._states[item.nodeid]
        while True:
            done = self._collected and not state.unfinished
            if done or not state.folded:
                yield from self._hand_out(state)
            if done:
                break
            event = next(self._events, None)
            if event is None:
                break
            self._handle(event)
        if not state.spoke:
            yield reports.of_no_report(item, self._unreadable.get(item.nodeid.split("::")[0]))

    def _hand_out(self, state: _State) -> Iterator[pytest.TestReport]:
        found, state.waiting = state.waiting, []
        for report in _fold(found) if state.folded else found:
            state.spoke = True
            yield report

    def close(self) -> None:
        """End the guest."""
        self._events.close()

    def _handle(self, event: Event) -> None:
        match event:
            case Collected(tests=tests):
                self._plan(tests)
            case Output(stream, data):
                self._print(stream, data)
            case Reported(nodeid=nodeid):
                captured = self._captured()
                if state := self._owner(nodeid):
                    state.waiting.append(reports.of(state.item, event, self._request, captured))
            case Uncollectable(file=file):
                self._unreadable[file] = event
            case Died(nodeid):
                if state := self._owner(nodeid):
                    state.waiting.append(reports.of_death(state.item, event, self._request, self._captured()))
            case Finished(nodeid=nodeid):
                if state := self._owner(nodeid):
                    state.unfinished.discard(nodeid)
            case Warned():
                self._warn(event)

    def _plan(self, nodeids: tuple[str, ...]) -> None:
        for nodeid in nodeids:
            if state := self._owner(nodeid):
                state.unfinished.add(nodeid)
                state.folded |= nodeid != state.item.nodeid
        self._collected = True

    def _owner(self, nodeid: str) -> _State | None:
        """The host's item that a test of the guest belongs to."""
        return self._states.get(nodeid) or self._states.get(function_of(nodeid))

    def _print(self, stream: str, data: bytes) -> None:
        if self._live is not None:
            self._live.write(visible(data.decode(errors="replace")))
            self._live.flush()
        else:
            self._output[stream] += data[: max(0, OUTPUT_KEPT - len(self._output[stream]))]

    def _captured(self) -> Captured:
        """What was printed since the last report, by stream, and forget it."""
        text = {stream: visible(data.decode(errors="replace")) for stream, data in self._output.items() if data}
        for data in self._output.values():
            data.clear()
        return text

    def _warn(self, said: Warned) -> None:
        """Let pytest count and show a warning of the guest's."""
        text = GuestWarning(f"{said.category}: {said.text}")
        # With no line given, pytest would look it up in the host's file of that name.
        message = warnings.WarningMessage(text, GuestWarning, said.file, said.line, line="")
        state = self._owner(said.nodeid)
        self._config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest" if state else "collect",
                "nodeid": state.item.nodeid if state else "",
                "location": None,
            }
        )


def _fold(found: list[pytest.TestReport]) -> list[pytest.TestReport]:
    """One report for each phase: the worst."""
    phases: dict[str | None, pytest.TestReport] = {}
    for report in sorted(found, key=lambda one: WORST_FIRST.index(one.outcome)):
        phases.setdefault(report.when, report)
    return [phases[when] for when in ("setup", "call", "teardown") if when in phases]


def _options(config: pytest.Config) -> tuple[str, ...]:
    """The host's options that shape a failure's text, as arguments for the guest's pytest."""
    found = [f"--tb={config.option.tbstyle}"]
    if config.option.verbose > 0:
        found.append("-" + "v" * config.option.verbose)
    if config.option.showlocals:
        found.append("--showlocals")
    if config.option.fulltrace:
        found.append("--full-trace")
    return tuple(found)
