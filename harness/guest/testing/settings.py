"""What the host asks of one pytest run in the guest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the host asks of this run."""

    code: Path
    """The folder whose loader.py is under test."""
    wanted: frozenset[str]
    """Node ids to run; empty means all."""
    seed: int
    deadline_s: float
    """Seconds that one wait in a test may take."""
    open_step: int | None
    """A step that an earlier guest of the same run found open."""
    holes: frozenset[int]
    """Steps that nobody has written anything for yet: one failing test tells all."""


SETTINGS = pytest.StashKey[Settings]()
