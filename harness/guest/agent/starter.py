"""Runs in the guest: a loader as `python3 loader.py` runs it, but Ctrl-C before it can handle one leaves no traceback.

Importing and compiling take seconds, and a loader's own `try` begins after them. Until the hook is set the signal is
blocked: Python's own start, and an import, can be interrupted too.
"""

from __future__ import annotations

import runpy
import signal
import sys

TYPE_CHECKING = False  # type checkers take it for true, as they do typing's, whose import takes long
if TYPE_CHECKING:
    from types import TracebackType


def argv(loader: str, *arguments: str, python: str = "python3") -> list[str]:
    """The command that runs `loader`; env (coreutils 8.31 or newer) blocks SIGINT for what it becomes."""
    return ["env", "--block-signal=INT", python, "-m", __name__, loader, *arguments]


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what ended the loader as Python would, from its own first line on; of Ctrl-C the line end alone."""
    if issubclass(kind, KeyboardInterrupt):
        print(file=sys.stderr)
        return
    while trace is not None and trace.tb_frame.f_code.co_filename != sys.argv[0]:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    del sys.argv[0]
    sys.excepthook = tell
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    runpy.run_path(sys.argv[0], run_name="__main__")
