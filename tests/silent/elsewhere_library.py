"""Tells of each call of getenv, in a copy of the C library."""

import shutil

from bcc import BPF

shutil.copy(BPF.find_library(b"c"), "/tmp/libc.so.6")
bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_RINGBUF_OUTPUT(calls, 8);
int asked(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    calls.ringbuf_output(&pid, sizeof(pid), 0);
    return 0;
}
"""
)
bpf.attach_uprobe(name=b"/tmp/libc.so.6", sym=b"getppid", fn_name=b"asked")
bpf["calls"].open_ring_buffer(lambda cpu, data, size: print("asked"))
while True:
    bpf.ring_buffer_poll(100)
