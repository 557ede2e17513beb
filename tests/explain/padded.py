"""Frames by type and device, as a service with few rights."""

import ctypes
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("padded.bpf.c")
RIGHTS = (12, 39)
"""CAP_NET_ADMIN, CAP_BPF."""

words = [sum(1 << one % 32 for one in RIGHTS if one // 32 == half) for half in (0, 1)]
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)(words[0], words[0], 0, words[1], words[1], 0))

bpf = BPF(src_file=str(SOURCE))
bpf.load_func("on_frame", BPF.XDP)
for key, count in bpf["frames"].items():
    print(key.device, key.type, count.value)
