"""Counts in slot 3 and reads slot 2."""

import ctypes
import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(slots, u32, u64);
int called(struct pt_regs *ctx)
{
    u32 slot = 3;
    slots.increment(slot);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(5):
    os.getppid()
print("calls:", bpf["slots"][ctypes.c_uint32(2)].value)
