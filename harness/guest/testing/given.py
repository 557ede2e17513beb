"""Where the plug-ins of a run find what the host asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.protocol.messages import Event, Run

RUN = pytest.StashKey[Run]()
HELD = pytest.StashKey[set[int]]()
"""Lines of the assertions that held in the test that runs."""
FACTS = "facts"
"""The attribute of a report that carries harness.protocol.facts.Facts."""
REPORT = pytest.StashKey[Callable[[Event], None]]()
"""Sends an event to the host, where the process and the thread may."""
