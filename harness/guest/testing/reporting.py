"""A pytest plug-in that sends each report to the host and prints nothing itself."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from harness.guest.testing.plugin import step_of
from harness.protocol.frames import TAKEN, Kind, encode_json

LONGREPR_MAX = 1 << 18
"""Characters of a failure's text that go to the host."""


class Reporter:
    """Sends events: `start` and `report` of each test, `collect` for files that cannot be collected."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()
        self._config: pytest.Config | None = None

    def send(self, event: str, **fields: Any) -> None:
        """One event; the agent has it when this returns, so later output comes after it.

        A process that the tested code forked, and that came back here, has no say.
        """
        if os.getpid() != self._pid:
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the tested code may have closed or replaced it
                stream.flush()
        view = memoryview(encode_json(Kind.REPORT, {"event": event, **fields}))
        while view:
            view = view[os.write(self._fd, view) :]
        os.read(self._fd, len(TAKEN))

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep a terminal reporter, which other plug-ins ask for, but point it nowhere."""
        self._config = config
        spoken = config.pluginmanager.unregister(name="terminalreporter")
        assert spoken is not None
        silent = TerminalReporter(config, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as the run
        config.pluginmanager.register(silent, "terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """The collection is complete; pytest_collection_finish is called for an interrupted one too."""
        self.send("collected", tests=[(item.nodeid, step_of(item)) for item in session.items])

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.Module):
            self.send("collecting", file=collector.nodeid)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.send("interrupted", reason=excinfo.typename)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send("start", nodeid=nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.send("finish", nodeid=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.send("report", report=self._serialise(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.send("collect", report=self._serialise(report))

    def _serialise(self, report: pytest.TestReport | pytest.CollectReport) -> dict[str, Any]:
        assert self._config is not None
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        assert isinstance(data, dict)
        if len(str(data["longrepr"])) > LONGREPR_MAX:
            text = report.longreprtext
            half = LONGREPR_MAX // 2
            data["longrepr"] = f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
        return data
