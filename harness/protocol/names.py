"""Names that both ends use."""

import signal

LOADER = "loader.py"
"""The Python half of a lesson."""
LEARNERS_TEST = "test_mine.py"
"""The learner's own test of a lesson: written before the code that it tests, so it never blocks a step."""
REFUSALS = ("Failed to compile BPF module", "Failed to load BPF program", "Need super-user privileges")
"""How BCC's exceptions begin where a program was refused (src/python/bcc/__init__.py, BCC 0.31)."""

ALWAYS_NEEDED = ("root", "bcc", "lockdown", "compiler")
"""Features of the kernel and BCC that every lesson needs (harness.guest.observing.features)."""


def function_of(nodeid: str) -> str:
    """The node id without the parameters of a case."""
    return nodeid.split("[")[0]


def signal_name(number: int) -> str:
    """As in SIGKILL; a real-time signal has none (signal(7))."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a signal without a name"
