"""The fixtures that every lesson's tests are written with."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

from harness.guest.observing import kernel as kernel_questions
from harness.guest.testing.deadline import Deadline
from harness.guest.testing.given import HELD, RUN
from harness.guest.testing.guard import Unprovoked
from harness.guest.testing.trace import Trace
from harness.guest.testing.workload import Workload
from harness.protocol.names import LOADER

T = TypeVar("T")
PROVOKED = 7
"""Times that a race must take place: what loses in half of them survives once in 128 runs."""


@pytest.fixture(scope="module")
def loader(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The learner's loader.py (with --tree solutions the reference's), imported afresh for each test file."""
    code = Path(request.config.stash[RUN].code)
    path = code / LOADER
    if not path.exists():
        pytest.fail(f"{path} is missing", pytrace=False)
    spec = importlib.util.spec_from_file_location("loader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["loader"] = module
    sys.path.insert(0, str(code))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(code))
        del sys.modules["loader"]


@pytest.fixture(scope="module")
def native(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`native("race.c")`: the program made from that file beside the test, with frame pointers and symbols."""

    def build(name: str) -> Path:
        program = tmp_path_factory.mktemp("native") / Path(name).stem
        flags = ["-O1", "-g", "-Wall", "-Werror", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-pthread"]
        subprocess.run(["gcc", *flags, "-o", program, request.path.parent / name], check=True)
        return program

    return build


@pytest.fixture
def kernel() -> ModuleType:
    """The questions of harness.guest.observing.kernel: `kernel.kprobes()`, `kernel.programs()`, `kernel.maps()`."""
    return kernel_questions


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that `--seed` replays; each test has its own."""
    return random.Random(f"{request.config.stash[RUN].seed} {request.node.nodeid}")


@pytest.fixture
def eventually(request: pytest.FixtureRequest) -> Callable[[Callable[[], T], str], T]:
    """`eventually(condition, what)`: the first true value of `condition()`; fails naming `what` at the deadline."""
    deadline_s = request.config.stash[RUN].wait_s

    def wait(condition: Callable[[], T], what: str) -> T:
        __tracebackhide__ = True
        deadline = Deadline(deadline_s)
        while not (value := condition()):
            if not deadline.left():
                pytest.fail(f"waited {deadline_s:.0f} s for {what}")
            time.sleep(0.01)
        request.config.stash[HELD].add(sys._getframe(1).f_lineno)  # it failed the test otherwise
        return value

    return wait


@pytest.fixture
def provoke(request: pytest.FixtureRequest) -> Callable[[Callable[[], bool], str], None]:
    """`provoke(attempt, what)`: `attempt` again and again, until it was true PROVOKED times.

    For a race, which the code under test may win by luck. `attempt` lets the same workload go through a control that is
    known to fail where the race takes place, and says whether it did. Where it hardly does, the lab has failed.
    """
    deadline_s = request.config.stash[RUN].test_s / 2

    def repeat(attempt: Callable[[], bool], what: str) -> None:
        deadline = Deadline(deadline_s)
        happened = 0
        while happened < PROVOKED:
            if not deadline.left():
                times = "not once" if not happened else "once" if happened == 1 else f"{happened} times"
                raise Unprovoked(
                    f"{what} happened {times} in {deadline_s:.0f} s, and the test needs {PROVOKED}: the lab's CPUs "
                    "hardly ever run at the same time. This says nothing about your code: end other work on this "
                    "machine, then check again"
                )
            happened += bool(attempt())

    return repeat


@pytest.fixture
def workload(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[], Any]], Workload]]:
    """`workload(function)`: a child process that waits until `.run()`, then calls `function` and ends."""
    deadline_s = request.config.stash[RUN].wait_s
    started: list[Workload] = []

    def start(function: Callable[[], Any]) -> Workload:
        started.append(Workload(function, deadline_s))
        return started[-1]

    yield start
    for child in started:
        child.close()


@pytest.fixture
def trace(request: pytest.FixtureRequest) -> Iterator[Trace]:
    """The kernel's trace_pipe, read up to a marker instead of until it is quiet."""
    with Trace(request.config.stash[RUN].wait_s) as pipe:
        yield pipe
