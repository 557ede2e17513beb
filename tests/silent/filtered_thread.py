"""Counts its own calls of getppid, by the wrong half of the number."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int called(struct pt_regs *ctx)
{
    u32 uid = bpf_get_current_pid_tgid();
    if (uid == 1)
        counts.increment(uid);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(23):
    os.getppid()
print("calls:", len(bpf["counts"]))
