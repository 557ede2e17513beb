"""Counts what getppid returned."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(results, s64, u64);
int called(struct pt_regs *ctx)
{
    s64 result = PT_REGS_RC(ctx);
    results.increment(result);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(23):
    os.getppid()
print("returned:", sorted(key.value for key in bpf["results"]))
