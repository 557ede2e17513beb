"""Counts its own calls, in a `with`."""

import os

from bcc import BPF

TEXT = """
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    return 0;
}
"""

with BPF(text=TEXT) as bpf:
    bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
    for _ in range(23):
        os.getppid()
    calls = sum(count.value for count in bpf["counts"].values())
print("calls:", calls)
