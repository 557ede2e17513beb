"""Keeps a fault of the harness's own hooks apart from the test in whose setup or teardown it happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


class Fault(Exception):
    """A hook of the harness broke; its cause says how."""


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Code of the harness's: what it raises is a Fault, unless it fails the test on purpose."""
    try:
        yield
    except (pytest.fail.Exception, pytest.skip.Exception):
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
