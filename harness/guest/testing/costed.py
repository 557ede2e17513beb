"""The pytest plug-in `-p harness.guest.testing.costed`: a run whose reports carry what the programs cost."""

from __future__ import annotations

import pytest

from harness.guest.testing.cost import Measure


def pytest_configure(config: pytest.Config) -> None:
    """Register the collector; it is never part of an ordinary run."""
    measure = Measure()
    measure.install()
    config.pluginmanager.register(measure, "workbook-measure")
