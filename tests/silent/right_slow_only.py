"""Tells of reads that take longer than ten seconds."""

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(begun, u32, u64);
BPF_PERF_OUTPUT(slow);
int kprobe__ksys_read(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    begun.update(&thread, &now);
    return 0;
}
int kretprobe__ksys_read(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 *from = begun.lookup(&thread);
    if (!from)
        return 0;
    u64 took = bpf_ktime_get_ns() - *from;
    if (took > 10000000000ULL)
        slow.perf_submit(ctx, &took, sizeof(took));
    return 0;
}
"""
)
bpf["slow"].open_perf_buffer(lambda cpu, data, size: print("slow"))
while True:
    bpf.perf_buffer_poll(100)
