"""Which files a command cannot open, and why. Run: workbook lab exec, as on the lesson's page."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bcc import BPF

BY_DEFAULT = ["cat", "/etc/hostname", "/etc/nothing", "/etc/hostname/below"]

bpf = BPF(src_file=str(Path(__file__).with_name("missing.bpf.c")))
found: list[tuple[int, str, str]] = []


def keep(context: Any, data: Any, size: int) -> None:
    """Copy an event out of the ring."""
    one = bpf["events"].event(data)
    found.append((one.pid, os.fsdecode(one.name), errno.errorcode[-one.error]))


bpf["events"].open_ring_buffer(keep)
running = subprocess.Popen(sys.argv[1:] or BY_DEFAULT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
running.wait()
bpf.ring_buffer_consume()
# region show
for pid, name, error in found:
    if pid == running.pid and name.startswith("/etc/"):
        print(f"pid {pid} could not open {name}: {error}")
# endregion
