"""Notes the lines of the assertions that hold: a test in which none ran cannot fail."""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from harness.guest.testing.given import FACTS, HELD
from harness.guest.testing.guard import ours

OPTION = "enable_assertion_pass_hook"
"""With it, pytest calls pytest_assertion_pass for each `assert` of a test file that holds."""


class Asserted:
    """Adds the lines to the report of each test."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """From here on a call of pytest.raises counts: a test goes on after it only if what it awaits was raised."""
        held = config.stash[HELD]
        raises = pytest.raises

        @functools.wraps(raises)
        def counted(*args: Any, **named: Any) -> Any:
            held.add(sys._getframe(1).f_lineno)
            return raises(*args, **named)

        pytest.raises = counted

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """What a fixture asserts is not the test's."""
        item.config.stash[HELD].clear()
        return (yield)

    def pytest_assertion_pass(self, item: pytest.Item, lineno: int) -> None:
        item.config.stash[HELD].add(lineno)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            with ours():
                held = item.config.stash[HELD]
                setattr(report, FACTS, replace(getattr(report, FACTS), asserted=tuple(sorted(held))))
        return report
