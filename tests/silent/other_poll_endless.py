"""Polls a ring buffer by the other function, for ever."""

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_RINGBUF_OUTPUT(calls, 8);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    calls.ringbuf_output(&pid, sizeof(pid), 0);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_ring_buffer(lambda cpu, data, size: print("called"))
while True:
    bpf.perf_buffer_poll(100)
