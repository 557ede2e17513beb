"""Polls before there is anything."""

import os
import sys

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
pids = []
bpf["calls"].open_ring_buffer(lambda cpu, data, size: pids.append(size))
bpf.ring_buffer_poll(20)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(23):
    os.getppid()
if not pids:
    sys.exit("no calls")
