"""Counts calls of getppid in slot 0."""

import ctypes
import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int count(struct pt_regs *ctx)
{
    u32 slot = 7;
    counts.increment(slot);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"count")
while True:
    time.sleep(0.2)
    calls = bpf["counts"].get(ctypes.c_uint32(0))
    if calls is not None:
        print(calls.value)
