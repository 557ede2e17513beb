"""Reads a small ring buffer after all calls."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct big { char text[400]; };
BPF_RINGBUF_OUTPUT(calls, 1);
int called(struct pt_regs *ctx)
{
    struct big big = {};
    calls.ringbuf_output(&big, sizeof(big), 0);
    return 0;
}
"""
)
seen = []
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_ring_buffer(lambda cpu, data, size: seen.append(size))
for _ in range(500):
    os.getppid()
bpf.ring_buffer_consume()
print(f"{len(seen)} of 500 calls")
