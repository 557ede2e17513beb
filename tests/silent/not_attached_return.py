"""Measures how long getppid takes: one of two programs is not attached."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(begun, u32, u64);
BPF_HASH(took, u32, u64);
int measure_from_the_entry(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    begun.update(&thread, &now);
    return 0;
}
int measure_to_the_return(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 *from = begun.lookup(&thread);
    if (!from)
        return 0;
    u64 passed = bpf_ktime_get_ns() - *from;
    took.update(&thread, &passed);
    return 0;
}
"""
)
name = bpf.get_syscall_fnname(b"getppid")
bpf.attach_kprobe(event=name, fn_name=b"measure_from_the_entry")
bpf.load_func(b"measure_to_the_return", BPF.KPROBE)
for _ in range(7):
    os.getppid()
raise SystemExit(0 if len(bpf["took"]) else "nothing was measured")
