"""One lesson's run, seen from pytest on the host: events from the lab become reports of the host's items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import pytest

from harness.course.catalog import Lesson
from harness.errors import GuestLost
from harness.lab.guest import Lab
from harness.pytest_side import reports
from harness.run import payload, session


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
        self._config, self._lesson, self._live = config, lesson, live
        self._code = lesson.folder(config.option.tree)
        self._states = {item.nodeid: _State(item) for item in items}
        self._collected = False
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._unreadable: dict[str, dict[str, Any]] = {}
        request = payload.batch(
            lesson,
            config.option.tree,
            tests=tuple(dict.fromkeys(item.path for item in items)),
            wanted=tuple(self._states),
            options=_options(config),
            seed=config.option.seed,
        )
        self._events = session.run(lab, request)

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """All reports of `item`, as they come; GuestLost when the lab cannot run it."""
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
            yield reports.of_silence(item, self._unreadable.get(item.nodeid.split("::")[0]))

    def _hand_out(self, state: _State) -> Iterator[pytest.TestReport]:
        found, state.waiting = state.waiting, []
        for report in _fold(found) if state.folded else found:
            state.spoke = True
            yield report

    def close(self) -> None:
        """End the guest."""
        self._events.close()

    def _handle(self, event: session.Event) -> None:
        match event:
            case session.Collected(tests):
                self._plan([nodeid for nodeid, _ in tests])
            case session.Output(stream, data):
                self._print(stream, data)
            case session.Reported(data):
                self._report(data)
            case session.Uncollectable(data):
                self._unreadable[data["nodeid"]] = data
            case session.Died(nodeid):
                if state := self._owner(nodeid):
                    state.waiting.append(
                        reports.of_death(state.item, event, self._lesson, self._code, self._captured())
                    )
            case session.Finished(nodeid):
                if state := self._owner(nodeid):
                    state.unfinished.discard(nodeid)

    def _plan(self, nodeids: list[str]) -> None:
        for nodeid in nodeids:
            if state := self._owner(nodeid):
                state.unfinished.add(nodeid)
                state.folded |= nodeid != state.item.nodeid
        self._collected = True

    def _owner(self, nodeid: str) -> _State | None:
        """The host's item that a test of the guest belongs to."""
        return self._states.get(nodeid) or self._states.get(nodeid.split("[")[0])

    def _print(self, stream: str, data: bytes) -> None:
        if self._live is not None:
            self._live.write(data.decode(errors="replace"))
            self._live.flush()
        else:
            self._output[stream] += data

    def _captured(self) -> dict[str, str]:
        """What was printed since the last report, by stream, and forget it."""
        text = {stream: data.decode(errors="replace") for stream, data in self._output.items() if data}
        for data in self._output.values():
            data.clear()
        return text

    def _report(self, data: dict[str, Any]) -> None:
        captured = self._captured()
        state = self._owner(str(data.get("nodeid")))
        if state is None:
            return
        try:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            reports.complete(report, self._lesson, self._code, captured)
        except (KeyError, TypeError, ValueError, AssertionError, AttributeError) as error:
            raise GuestLost(f"the lab sent a report that cannot be read: {error!r}") from error
        report.nodeid = state.item.nodeid
        state.waiting.append(report)


def _fold(reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    """One report for each phase: the first that failed, else the first."""
    phases: dict[str | None, pytest.TestReport] = {}
    for report in reports:
        if report.when not in phases or (report.failed and not phases[report.when].failed):
            phases[report.when] = report
    return list(phases.values())


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
