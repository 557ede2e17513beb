"""Looks at each packet of this host; runs with CAP_NET_ADMIN and CAP_BPF alone."""

import ctypes
from pathlib import Path

from bcc import BPF

CAP_NET_ADMIN, CAP_BPF = 12, 39


def drop_rights() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    low, high = 1 << CAP_NET_ADMIN, 1 << (CAP_BPF - 32)
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)) == 0


def main() -> None:
    drop_rights()
    bpf = BPF(src_file=str(Path(__file__).with_name("own_entry.bpf.c")))
    bpf.load_func("on_packet", BPF.SOCKET_FILTER)
    print("loaded")


main()
