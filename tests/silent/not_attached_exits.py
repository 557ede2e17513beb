"""Counts its own calls of getppid."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    return 0;
}
"""
)
bpf.load_func(b"called", BPF.KPROBE)
for _ in range(23):
    os.getppid()
print("calls:", sum(calls.value for calls in bpf["counts"].values()))
