"""Counts frames on a device, with no more rights than it needs: CAP_NET_ADMIN and CAP_BPF."""

import ctypes
from pathlib import Path

from bcc import BPF

NEEDED = 1 << 12 | 1 << 39  # linux/capability.h


def keep_only(capabilities: int) -> None:
    """Give up every other right for good."""
    low, high = capabilities & 0xFFFFFFFF, capabilities >> 32
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


keep_only(NEEDED)
bpf = BPF(src_file=str(Path(__file__).with_name("least_rights.bpf.c")))
program = bpf.load_func("on_frame", BPF.XDP)
bpf.attach_xdp("lo", program, BPF.XDP_FLAGS_SKB_MODE)
bpf.remove_xdp("lo", BPF.XDP_FLAGS_SKB_MODE)
