"""The kernels that a guest can have. Another one is a line here.

Kernel, headers and modules come from their Debian suite, everything else from the recipe's: one BCC for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """One of Debian's kernels."""

    name: str
    """What a user types."""
    suite: str
    """Debian's suite that has it."""
    release: str = ""
    """How its release begins; empty where that moves on."""


KERNELS = (
    Kernel("5.10", "bullseye", release="5.10."),
    Kernel("6.1", "bookworm", release="6.1."),
    Kernel("6.12", "trixie", release="6.12."),
    Kernel("newest", "trixie-backports"),
)
DEFAULT = KERNELS[2]
"""The course is written on it; no other is built unless it is asked for."""
