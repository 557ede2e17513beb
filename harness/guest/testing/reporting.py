"""A pytest plug-in that sends each event of the run to the host and prints nothing itself."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
import warnings
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from harness.guest.testing.given import FACTS, REPORT
from harness.protocol import codec
from harness.protocol.facts import Facts
from harness.protocol.frames import TAKEN, Kind, encode
from harness.protocol.messages import (
    Collected,
    Collecting,
    Event,
    Finished,
    InternalError,
    Interrupted,
    Reported,
    Started,
    Uncollectable,
    Warned,
)  # fmt: skip
from harness.protocol.shorten import shortened

TEXT_MAX = 1 << 18
"""Characters of a failure's text that go to the host."""


class Reporter:
    """Sends what happens, in the order in which it happens."""

    def __init__(self, fd: int, root: str = "/") -> None:
        self._fd = fd
        self._root = root
        self._pid = os.getpid()

    def send(self, event: Event) -> None:
        """One event; the agent has it when this returns, so later output comes after it.

        A process that the tested code forked, and that came back here, has no say.
        """
        if os.getpid() != self._pid:
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the tested code may have closed or replaced it
                stream.flush()
        view = memoryview(encode(Kind.EVENT, codec.dump(event)))
        while view:
            view = view[os.write(self._fd, view) :]
        os.read(self._fd, len(TAKEN))

    def mention(self, event: Event) -> None:
        """An event that a process or a thread of the tested code may cause: there it is left out."""
        if os.getpid() == self._pid and threading.current_thread() is threading.main_thread():
            self.send(event)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep a terminal reporter, which other plug-ins ask for, but point it nowhere."""
        config.stash[REPORT] = self.mention
        spoken = config.pluginmanager.unregister(name="terminalreporter")
        assert spoken is not None
        silent = TerminalReporter(config, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as the run
        config.pluginmanager.register(silent, "terminalreporter")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """The collection is complete; pytest_collection_finish is called for an interrupted one too."""
        self.send(Collected(tests=tuple(item.nodeid for item in session.items)))

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.Module):
            self.send(Collecting(file=collector.nodeid))

    def pytest_internalerror(self, excrepr: object, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """A hook of ours, or pytest itself, broke: that is said as it is, and never as the learner's fault."""
        self.send(InternalError(text="".join(traceback.format_exception(excinfo.value))[-TEXT_MAX:]))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.send(Interrupted(reason=excinfo.typename))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: object
    ) -> None:
        """Report a warning about a learner's file; the learner cannot change BCC's or pytest's."""
        file, line = str(warning_message.filename), warning_message.lineno
        if not Path(file).is_relative_to(self._root):
            return
        category = warning_message.category.__name__
        text = _printed(warning_message.message)[:TEXT_MAX]
        self.send(Warned(category=category, text=text, file=file, line=line, when=when, nodeid=nodeid))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send(Started(nodeid=nodeid))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.send(Finished(nodeid=nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        assert report.when in ("setup", "call", "teardown")
        text = "" if report.passed else report.longrepr[2] if isinstance(report.longrepr, tuple) else _text(report)
        self.send(
            Reported(
                nodeid=report.nodeid, when=report.when, outcome=report.outcome, duration=report.duration, text=text,
                facts=getattr(report, FACTS, Facts()),
            )
        )  # fmt: skip

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.send(Uncollectable(file=report.nodeid, text=_text(report)))


def _text(report: pytest.TestReport | pytest.CollectReport) -> str:
    """pytest's account of a failure; the middle of a very long one is left out."""
    return shortened(report.longreprtext, TEXT_MAX)


def _printed(value: object) -> str:
    """str(value), whatever the tested code's own __str__ does."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose text raised {type(error).__name__}>"
