"""What a lesson leaves in the kernel: compared with how the kernel was before its file ran."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from harness.guest.observing import kernel
from harness.guest.testing.guard import ours


class Leftovers:
    """Fails the last test of a file if the file left something behind."""

    def __init__(self) -> None:
        self._before: dict[Path, Counter[str]] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with ours():
            self._before.setdefault(item.path, kernel.remains())
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
        yield
        if nextitem is not None and nextitem.path == item.path:
            return
        gc.collect()
        with ours():
            left = kernel.remains() - self._before[item.path]
        if left:
            pytest.fail("left in the kernel: " + ", ".join(sorted(left)), pytrace=False)
