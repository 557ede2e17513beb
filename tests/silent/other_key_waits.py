"""Waits until its slot is filled."""

import ctypes
import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(seen, u64, u64);
int called(struct pt_regs *ctx)
{
    u64 big = 1ULL << 40;
    seen.increment(big);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
while bpf["seen"].get(ctypes.c_uint64(1 << 4)) is None:
    time.sleep(0.2)
print("there it is")
