"""Counts the failed calls of getpgid."""

import contextlib
import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(failed, u32, u64);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    int result = PT_REGS_RC(ctx);
    if (result != -3)
        return 0;
    failed.increment(pid);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getpgid"), fn_name=b"called")
for _ in range(23):
    with contextlib.suppress(OSError):
        os.getpgid(1 << 22)
print("failed:", len(bpf["failed"]))
