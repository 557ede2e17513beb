"""Attaches when all is over."""

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
for _ in range(23):
    os.getpgid(0)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getpgid"), fn_name=b"called")
counts = bpf["counts"]
assert len(counts), "no call was counted"
