"""Polls for ever, with nothing open."""

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(calls);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    calls.perf_submit(ctx, &pid, sizeof(pid));
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
while True:
    bpf.perf_buffer_poll(100)
