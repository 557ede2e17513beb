"""Runs pytest on the lessons that came over, and reports through a socket."""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.testing import plugin
from harness.guest.testing.cost import Measure
from harness.guest.testing.given import RUN
from harness.guest.testing.precompile import Precompile, texts_in
from harness.guest.testing.reporting import Reporter
from harness.protocol import codec
from harness.protocol.messages import Go, InternalError, Precompiled, Run

UNRAISABLE = "error::pytest.PytestUnraisableExceptionWarning"
"""ctypes swallows what a callback raises (iovisor/bcc#4650); pytest sees it and must fail the test for it."""


def run(request: Run, report_fd: int) -> int:
    """Run the test files of `request`; the exit status is pytest's own."""
    random.seed()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # as on a terminal: somebody may be watching
    # A later run in this guest may bring another file of the same size in the same second.
    sys.dont_write_bytecode = True
    reporter = Reporter(report_fd, request.root)
    plugins: list[object] = [plugin.Given(request), plugin, reporter]
    if request.measure:
        plugins.append(Measure())
    if request.hold:
        plugins.append(Hold(request, reporter))
    try:
        return int(pytest.main(_arguments(request), plugins=plugins))
    except (
        Exception
    ):  # while pytest configures itself, it catches none: a fault of ours, before any code of the learner's
        reporter.send(InternalError(text=traceback.format_exc()))
        return int(pytest.ExitCode.INTERNAL_ERROR)


def _arguments(request: Run) -> list[str]:
    """pytest's command line: no configuration, no conftest.py and no plug-in but those named here take part."""
    return [
        "-c", os.devnull,
        "--rootdir", request.root,
        "--noconftest",
        "--disable-plugin-autoload",  # and to look for some costs 0.1 s under TCG
        "-p", "no:cacheprovider",
        "-p", "pytest_timeout",
        "-W", UNRAISABLE,
        f"--timeout={request.test_s:.0f}",
        "--timeout-method=signal",
        "--capture=no",
        "--continue-on-collection-errors",
        "--no-header",  # never shown, and to write it a second of imports is needed under TCG
        *request.options,
        *request.tests,
    ]  # fmt: skip


class Hold:
    """Stops before the first test until Go arrives on standard input, in one line; meanwhile programs are compiled."""

    def __init__(self, request: Run, reporter: Reporter) -> None:
        self._code, self._reporter = Path(request.code), reporter

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        begin = time.monotonic()
        with Precompile(texts_in(self._code)) as compiling:
            compiling.until_readable(0, lambda: self._reporter.send(Precompiled(seconds=time.monotonic() - begin)))
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(0, 1) or os._exit(1)
        go = codec.load(line, (Go,))
        session.config.stash[RUN] = replace(session.config.stash[RUN], seed=go.seed, holes=go.holes)
        random.seed()
