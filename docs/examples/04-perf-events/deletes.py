"""Which files a command wants to delete, as the events come. Run: workbook lab exec, as on the lesson's page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bcc import BPF

# On one CPU, and so in one ring: nothing here sorts events of several.
BY_DEFAULT = ["taskset", "-c", "0", "sh", "-c", "cd /tmp; touch one two; rm one; rm two"]

bpf = BPF(src_file=str(Path(__file__).with_name("deletes.bpf.c")))
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"unlinkat"), fn_name=b"syscall__unlinkat")


# region show
def show(cpu: int, data: int, size: int) -> None:
    """Print an event while it is still in its ring; keep nothing of it."""
    one = bpf["deletes"].event(data)
    print(f"pid {one.pid} deletes {one.path.decode(errors='replace')}, {size} bytes came", flush=True)


bpf["deletes"].open_perf_buffer(show, page_cnt=8)
# endregion

# region read
running = subprocess.Popen(sys.argv[1:] or BY_DEFAULT)
ended = False
while not ended:
    ended = running.poll() is not None
    bpf.perf_buffer_poll(timeout=50)
# endregion
