"""Tells of each new swap file."""

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(swaps);
int swap(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    swaps.perf_submit(ctx, &pid, sizeof(pid));
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"swapon"), fn_name=b"swap")
bpf["swaps"].open_perf_buffer(lambda cpu, data, size: print("a swap file"))
while True:
    bpf.perf_buffer_poll(100)
