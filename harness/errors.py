"""The one exception tree; its exit codes are what the `workbook` command returns.

WorkbookError
├── UsageError (2)        the command line or a file of the course is wrong
└── LabError (3)          nothing is said about the learner's code
    ├── SetupError        something that the lab needs is not installed
    └── GuestLost         QEMU ended, the guest's kernel crashed, or it stopped answering
"""

from __future__ import annotations


class WorkbookError(Exception):
    """Base of all errors that end with a sentence instead of a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """`remedy` is the command or the step that mends it, as it would be typed."""
        super().__init__(message)
        self.remedy = remedy


class UsageError(WorkbookError):
    """The command line, a lesson.toml or a mutant file cannot be understood."""

    exit_code = 2


class LabError(WorkbookError):
    """The lab failed; the learner's code was not judged."""

    exit_code = 3


class SetupError(LabError):
    """A program or package that the lab needs is missing or too old."""


class GuestLost(LabError):
    """The guest died or went silent; `console` holds its last lines."""

    def __init__(self, message: str, *, console: str = "", remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.console = console
