"""Tells of the files that the root of all processes opens."""

import os

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


def show(cpu, data, size):
    if size == 1:
        print("called")


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_ring_buffer(show)
for _ in range(7):
    os.getppid()
bpf.ring_buffer_poll(50)
print("done")
