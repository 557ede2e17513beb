"""Where the plug-ins of a run find what the host asked for."""

from __future__ import annotations

import pytest

from harness.protocol.messages import Run

RUN = pytest.StashKey[Run]()
HELD = pytest.StashKey[set[int]]()
"""Lines of the assertions that held in the test that runs."""
FACTS = "facts"
"""The attribute of a report that carries harness.protocol.facts.Facts."""
