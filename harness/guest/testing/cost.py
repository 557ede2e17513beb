"""Collects, test by test, what each BPF program of the run costs: instructions, stack, memory, time, lost events."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest

from harness.guest.observing import objects
from harness.guest.testing.given import FACTS
from harness.protocol.facts import Measured

STATISTICS = 4
"""BPF_LOG_STATS of the verifier's log level (include/linux/bpf_verifier.h, Linux 6.12): no instructions."""
LOG_BYTES = 1 << 16
STACK = re.compile(rb"stack depth ([\d+]+)")


class Measure:
    """Stands beside BCC's loading and its perf buffers; adds its numbers to the report of each test."""

    def __init__(self) -> None:
        self._stacks: dict[int, int] = {}
        self._names: dict[int, str] = {}
        """By the program's id: the kernel's own names are cut, and BCC takes the prefix off first."""
        self._lost = 0

    def pytest_configure(self) -> None:
        """Stand between this process and libbcc."""
        from bcc import lib
        from bcc.table import PerfEventArray  # type: ignore[import-not-found]

        lib.bcc_func_load = self._loading(lib.bcc_func_load)
        PerfEventArray._open_perf_buffer = self._opening(PerfEventArray._open_perf_buffer)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Before the fixtures close, all is still loaded."""
        report = yield
        if call.when == "call":
            setattr(report, FACTS, replace(getattr(report, FACTS), measured=self.numbers()))
        return report

    def numbers(self) -> Measured:
        """Programs and maps that this process holds now; events lost until now."""
        programs = objects.programs(os.getpid())
        maps = objects.maps({number for program in programs for number in program.maps})
        named = (
            replace(one, name=self._names.get(one.id, one.name), stack=self._stacks.get(one.id)) for one in programs
        )
        return Measured(programs=tuple(named), maps=tuple(maps), lost=self._lost)

    def _loading(self, load: Callable[..., int]) -> Callable[..., int]:
        """Load with the verifier's statistics in a buffer of ours; where that fails, as BCC would have."""

        def loaded(*args: Any) -> int:
            buffer = ctypes.create_string_buffer(LOG_BYTES)
            fd = load(*args[:7], STATISTICS, buffer, LOG_BYTES, *args[10:])
            if fd < 0:
                return load(*args)
            number = int(objects.fdinfo(os.getpid(), fd)["prog_id"])
            self._names[number] = args[2].decode()
            if found := STACK.search(buffer.value):
                self._stacks[number] = sum(map(int, found[1].split(b"+")))
            return fd

        return loaded

    def _opening(self, opened: Callable[..., None]) -> Callable[..., None]:
        """Count what the ring's reader is told of lost events, and pass it on."""

        def opening(table: Any, cpu: int, callback: Any, pages: int, lost_cb: Any, wakeup: int) -> None:
            def lost(count: int) -> None:
                self._lost += count
                if lost_cb:
                    lost_cb(count)

            opened(table, cpu, callback, pages, lost, wakeup)

        return opening
