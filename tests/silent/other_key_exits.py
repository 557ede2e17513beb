"""Looks up its process id among thread groups shifted the wrong way."""

import ctypes
import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u64, u64);
int called(struct pt_regs *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    counts.increment(id);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(23):
    os.getppid()
found = bpf["counts"].get(ctypes.c_uint64(os.getpid()))
print("calls:", found.value if found else 0)
