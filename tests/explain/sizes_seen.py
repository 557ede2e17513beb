"""The queues of frames, for a service that has CAP_BPF and CAP_NET_ADMIN."""

import ctypes
from pathlib import Path

from bcc import BPF


def few_rights() -> None:
    """Only CAP_NET_ADMIN (12) and CAP_BPF (39) stay."""
    sets = (ctypes.c_uint32 * 6)(1 << 12, 1 << 12, 0, 1 << 7, 1 << 7, 0)
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), sets)


few_rights()
with BPF(src_file=str(Path(__file__).with_name("sizes_seen.bpf.c"))) as bpf:
    bpf.load_func(b"on_frame", BPF.XDP)
