"""Everything slow that each run would otherwise do again: done once, before the guest is saved."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from harness.protocol.messages import Warmed, read_features

MODULES = (
    "bcc",
    "pytest",
    "pytest_timeout",
    "_pytest._argcomplete",
    "faulthandler",
    "pdb",
    "difflib",
    "harness.guest.testing.runner",
    "harness.guest.testing.cost",
    "harness.guest.observing.gather",
    "harness.guest.observing.features",
    "typer",
    "typer.rich_utils",
)
"""Imported by the agent, with all of pytest's own plug-ins, so that each run is one fork away. Separate
programs find them compiled."""

COMPILE = """
import time
from bcc import BPF
begin = time.monotonic()
BPF(text="#include <uapi/linux/ptrace.h>\\nint warm(struct pt_regs *ctx) { return 0; }").load_func("warm", BPF.KPROBE)
print(time.monotonic() - begin)
"""


def warm() -> Warmed:
    """Import, try the features that lessons need, compile once more.

    That compile's seconds are the measure that deadlines are multiples of; the first one, of a feature, is slower.
    """
    if os.getpid() == 1:  # the guest's kernel, which is ours alone: count each program's runs
        Path("/proc/sys/kernel/bpf_stats_enabled").write_text("1")
    begin = time.monotonic()
    for name in names():
        importlib.import_module(name)
    imported = time.monotonic() - begin
    _forget_screen()
    gc.collect()
    gc.freeze()  # a run is a fork of this process: its collections pass over all this (gc.freeze, Python 3.7)
    lacking = _lacking()
    compile_s = 0.0 if lacking.get("compiler") else _compile_once()
    return Warmed(import_s=imported, compile_s=compile_s, lacking=lacking)


def _lacking() -> Mapping[str, str]:
    """What this kernel and BCC cannot do for a lesson, tried in a separate process."""
    argv = [sys.executable, "-m", "harness.guest.observing.features"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"the kernel's features cannot be asked for:\n{done.stderr.decode(errors='replace')}")
    return read_features(done.stdout).lacking


def names() -> tuple[str, ...]:
    """Modules, pytest's plug-ins among them: it imports those at its start (_pytest/config/__init__.py, pytest 9.0)."""
    from _pytest.config import default_plugins

    return *MODULES, *(f"_pytest.{plugin}" for plugin in default_plugins)


def _forget_screen() -> None:
    """readline, which is among them, tells the C environment a size of the screen; programs would inherit it."""
    for name in ("LINES", "COLUMNS"):
        if name not in os.environ:
            os.unsetenv(name)


def _compile_once() -> float:
    """Seconds of one compile and load by BCC, in a separate process."""
    process = subprocess.Popen([sys.executable, "-c", COMPILE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"BCC cannot compile in the lab:\n{err.decode(errors='replace')}")
    return float(out)
