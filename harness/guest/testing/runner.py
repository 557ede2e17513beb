"""Runs pytest on the lessons that came over, and reports through a socket."""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.guest.testing import plugin
from harness.guest.testing.reporting import Reporter
from harness.guest.testing.settings import SETTINGS, Settings


def run(request: dict[str, Any], report_fd: int) -> int:
    """Run the test files of `request`; the exit status is pytest's own."""
    random.seed()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # as on a terminal: somebody may be watching
    # A later run in this guest may bring another file of the same size in the same second.
    sys.dont_write_bytecode = True
    settings = Settings(
        code=Path(request["code"]),
        wanted=frozenset(request["wanted"]),
        seed=request["seed"],
        deadline_s=request["deadline_s"],
        open_step=request["open_step"],
        holes=frozenset(request["holes"]),
    )
    arguments = [
        "-c", os.devnull,
        "--rootdir", request["rootdir"],
        "-p", "no:cacheprovider",
        "--disable-plugin-autoload",  # nothing else takes part, and to look costs 0.1 s under TCG
        "-p", "pytest_timeout",
        "--capture=no",
        "--continue-on-collection-errors",
        "--no-header",  # nobody reads it, and to write it a second of imports is needed under TCG
        *request["options"],
        *request["tests"],
    ]  # fmt: skip
    plugins = [plugin.Given(settings), plugin, Reporter(report_fd), *([Hold()] if request.get("hold") else [])]
    return int(pytest.main(arguments, plugins=plugins))


class Hold:
    """Stops before the first test until a line on standard input says with which seed and holes to go on."""

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(0, 1) or os._exit(1)
        settings = session.config.stash[SETTINGS]
        anew = json.loads(line)
        session.config.stash[SETTINGS] = replace(settings, seed=anew["seed"], holes=frozenset(anew["holes"]))
        random.seed()
