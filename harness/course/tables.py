"""A table of a TOML file, read by type: what is missing or of another type is one sentence that names the file."""

from __future__ import annotations

import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.course import files
from harness.errors import UsageError

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of characters that act on a terminal or on the order of a line instead of being seen."""


def is_printable(text: str, breaks: str = "") -> bool:
    """Whether each character of `text`, but for those in `breaks`, is one that is seen."""
    return all(char in breaks or unicodedata.category(char) not in UNSEEN for char in text)


@dataclass(frozen=True)
class Table:
    """A table, and its place in a file."""

    path: Path
    data: dict[str, Any]
    place: str = ""
    """Such as " step 2"; empty for the file's own table."""

    @classmethod
    def load(cls, path: Path, known: Set[str]) -> Table:
        """The table that is the file `path`."""
        return cls(path, files.load_toml(path, known))

    def has(self, key: str) -> bool:
        return key in self.data

    def wrong(self, what: str) -> UsageError:
        """The error that says so of this table."""
        return UsageError(f"{self.path}:{self.place} {what}")

    def text(self, key: str) -> str:
        """A string of any characters."""
        value = self._value(key)
        if not isinstance(value, str):
            raise self.wrong(f"{key!r} is not a string")
        return value

    def line(self, key: str) -> str:
        """A string to be shown on one line."""
        return self._shown(key, self.text(key), breaks="")

    def lines(self, key: str) -> tuple[str, ...]:
        """Strings to be shown, each perhaps of several lines."""
        values = self._value(key)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(f"{key!r} is not a list of strings")
        return tuple(self._shown(key, value, breaks="\n\t") for value in values)

    def tables(self, key: str, known: Set[str]) -> list[Table]:
        """The tables of a list, each with no keys but `known`."""
        values = self._value(key)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self.wrong(f"{key!r} is not a list of tables ([[{key}]])")
        found = [Table(self.path, value, f"{self.place} {key} {at}:") for at, value in enumerate(values, 1)]
        for table in found:
            files.check_keys(f"{self.path}:{table.place}".removesuffix(":"), table.data, known)
        return found

    def _value(self, key: str) -> Any:
        if key not in self.data:
            raise self.wrong(f"{key!r} is missing")
        return self.data[key]

    def _shown(self, key: str, value: str, breaks: str) -> str:
        if not is_printable(value, breaks):
            raise self.wrong(f"{key!r} holds a character that cannot be shown: {value!a}")
        return value
