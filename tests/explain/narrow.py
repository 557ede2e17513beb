"""Show each exec, with the struct of the event written down in Python."""

import ctypes
import subprocess
from pathlib import Path

from bcc import BPF


class Event(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("comm", ctypes.c_char * 16),
        ("time_ns", ctypes.c_ulonglong),
        ("uid", ctypes.c_ulonglong),
    ]


def show(cpu, data, size):
    raw = ctypes.string_at(data, size)
    event = Event.from_buffer_copy(raw)
    print(event.pid, event.uid, event.comm.decode(errors="replace"))


bpf = BPF(src_file=str(Path(__file__).with_name("narrow.bpf.c")))
bpf["execs"].open_perf_buffer(show)
subprocess.run(["true"], check=True)
bpf.perf_buffer_poll(timeout=500)
