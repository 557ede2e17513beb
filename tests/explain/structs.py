"""Show each exec; the event's struct is written down here once more, as older scripts have it."""

import ctypes
import subprocess
from pathlib import Path

from bcc import BPF


class Event(ctypes.Structure):
    _fields_ = [("time_ns", ctypes.c_ulonglong), ("pid", ctypes.c_uint), ("comm", ctypes.c_char * 16)]


bpf = BPF(src_file=str(Path(__file__).with_name("structs.bpf.c")))


def show(cpu, data, size):
    event = ctypes.cast(data, ctypes.POINTER(Event)).contents
    print(event.pid, event.comm.decode(errors="replace"))


bpf["execs"].open_perf_buffer(show)
subprocess.run(["true"])
bpf.perf_buffer_poll(timeout=500)
