"""Keeps apart from what a test says of the code: a fault of the harness's own hooks, and what the lab could not do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


class Fault(Exception):
    """A hook of the harness broke; its cause says how."""


class Unprovoked(Exception):
    """The lab did not bring about what the test is to see: the test says nothing about the code."""


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Code of the harness's: what it raises is a Fault, unless it fails the test on purpose."""
    try:
        yield
    except (pytest.fail.Exception, pytest.skip.Exception):
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
