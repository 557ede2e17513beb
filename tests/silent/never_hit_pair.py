"""Measures how long it takes to change the folder, with the wrong function at the return."""

import os
import tempfile

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(begun, u32, u64);
BPF_PERF_OUTPUT(took);
int at_the_entry(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    begun.update(&thread, &now);
    return 0;
}
int at_the_return(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 *from = begun.lookup(&thread);
    if (!from)
        return 0;
    u64 passed = bpf_ktime_get_ns() - *from;
    took.perf_submit(ctx, &passed, sizeof(passed));
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"chdir"), fn_name=b"at_the_entry")
bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"fchdir"), fn_name=b"at_the_return")
bpf["took"].open_perf_buffer(lambda cpu, data, size: print("changed"))
while True:
    os.chdir(tempfile.gettempdir())
    bpf.perf_buffer_poll(100)
