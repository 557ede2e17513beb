"""Opens one of its two buffers."""

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(failures);
BPF_PERF_OUTPUT(all_the_calls_there_are);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    all_the_calls_there_are.perf_submit(ctx, &pid, sizeof(pid));
    if (pid == 0)
        failures.perf_submit(ctx, &pid, sizeof(pid));
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["failures"].open_perf_buffer(lambda cpu, data, size: print("called"))
while True:
    bpf.perf_buffer_poll(100)
