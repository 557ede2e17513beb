"""Asks the kernel why, where a test saw no event at all. For a test that passes, run counts alone are asked."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from harness.guest.observing import activity, objects
from harness.guest.testing.given import FACTS
from harness.guest.testing.guard import ours
from harness.guest.testing.trace import Trace
from harness.guest.testing.workload import Workload
from harness.protocol.facts import Facts

NOTHING = re.compile(
    r"assert (0|\[\]|\{\}|set\(\)|frozenset\(\)|Counter\(\)|None|False|b?''|\(\)) ?(==|in|$)"
    r"|not enough values to unpack \(expected \d+, got 0\)|list index out of range|^waited \d+ s for",
    re.MULTILINE,
)
"""What pytest and Python say of a test that saw nothing; what was seen is on the left of a comparison."""


class NoEvents:
    """Adds the kernel's facts to the report of a failed test."""

    def __init__(self) -> None:
        self._runs: dict[int, int] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """From here on the runs are this test's."""
        with ours():
            self._runs = objects.runs(os.getpid())
            Workload.pids.clear()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Before the fixtures close: what is attached is attached still."""
        report = yield
        facts: Facts = getattr(report, FACTS)
        if call.when == "call" and call.excinfo is not None and NOTHING.search(facts.message):
            arguments = getattr(item, "funcargs", {})
            values = arguments.values()
            if "workload" in arguments and not Workload.pids:  # nothing that it is about has happened yet
                return report
            if any(_holds_bpf(value) for value in values):
                found = activity.of_process(os.getpid(), self._runs, frozenset(Workload.pids))
                traces = [value for value in values if isinstance(value, Trace)]
                found = replace(found, trace_lines=traces[0].seen if traces else None)
                setattr(report, FACTS, replace(facts, activity=found))
        return report


def _holds_bpf(value: Any) -> bool:
    from bcc import BPF

    if isinstance(value, tuple):
        return any(_holds_bpf(one) for one in value)
    return isinstance(value, BPF) or isinstance(getattr(value, "bpf", None), BPF)
