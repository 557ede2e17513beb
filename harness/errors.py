"""The one exception tree; its exit codes are what the `workbook` command returns.

WorkbookError
├── UsageError (2)        the command line or a file of the course is wrong
└── LabError (3)          nothing is said about the learner's code
    ├── SetupError        something that the lab needs is not installed
    ├── HarnessFault      the workbook itself broke: its half in the guest, or in explaining
    ├── GuestStarved      the machine is so busy that the guest got no CPU
    └── GuestLost         QEMU ended, the guest's kernel crashed, it stopped answering, or it spoke nonsense
"""

from __future__ import annotations


class WorkbookError(Exception):
    """Base of all errors that end with a sentence instead of a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """`remedy` is the command or the step that fixes it, as it would be typed."""
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


class HarnessFault(LabError):
    """The workbook itself broke: its half in the guest, or in explaining; `traceback` says where."""

    def __init__(self, traceback: str) -> None:
        last = next((line for line in reversed(traceback.splitlines()) if line.strip()), "it said nothing")
        super().__init__(f"the workbook itself failed: {last.strip()[:500]}")
        self.traceback = traceback


class GuestStarved(LabError):
    """The host gave the guest hardly any CPU time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy="end what keeps the CPUs busy, then repeat this command")


class GuestLost(LabError):
    """The guest died, went silent or spoke nonsense; `console` holds its last lines."""

    def __init__(self, message: str, *, console: str = "", remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.console = console
