"""Sums of each process; the table's value is described here."""

import ctypes
from pathlib import Path

from bcc import BPF


class Sum(ctypes.Structure):
    """Calls, and the time inside them."""

    _fields_ = [("calls", ctypes.c_uint32), ("ns", ctypes.c_uint32)]


with BPF(src_file=str(Path(__file__).with_name("leaves.bpf.c"))) as bpf:
    sums = bpf.get_table("sums", leaftype=Sum)
    for pid, one in sums.items():
        print(pid.value, one.calls, one.ns)
