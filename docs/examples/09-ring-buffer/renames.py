"""Which files a command renames, hidden ones left out. Run: workbook lab exec, as on the lesson's page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bcc import BPF

# Each mv on another CPU: the ring keeps their order.
BY_DEFAULT = ["sh", "-c", "cd /tmp; touch a .b; taskset -c 0 mv a c; taskset -c 0 mv .b d; taskset -c 1 mv c e"]

bpf = BPF(src_file=str(Path(__file__).with_name("renames.bpf.c")))


# region show
def show(ctx: Any, data: Any, size: int) -> None:
    """Print an event while it is still in the ring; keep nothing of it."""
    one = bpf["renames"].event(data)
    print(f"pid {one.pid} renames {os.fsdecode(one.old)!r} to {os.fsdecode(one.new)!r}, {size} bytes", flush=True)


bpf["renames"].open_ring_buffer(show)
# endregion

# region read
running = subprocess.Popen(sys.argv[1:] or BY_DEFAULT)
while running.poll() is None:
    bpf.ring_buffer_poll(timeout=50)
bpf.ring_buffer_consume()
# endregion
