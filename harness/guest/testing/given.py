"""Where the plug-ins of a run find what the host asked for."""

from __future__ import annotations

import pytest

from harness.protocol.messages import Run

RUN = pytest.StashKey[Run]()
FACTS = "facts"
"""The attribute of a report that carries harness.protocol.facts.Facts."""
