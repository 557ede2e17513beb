"""Shortens a long text: its two ends are kept, a line says how much is missing between them."""

from __future__ import annotations


def shortened(text: str, size_max: int) -> str:
    """`text`, or half of `size_max` characters from each end of a longer one, with a line between that counts the rest.

    The ends of a log say what was done and what failed; what is left out was seldom read anyway.
    """
    if len(text) <= size_max:
        return text
    half = size_max // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"
