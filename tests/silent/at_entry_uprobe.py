"""Tells what getppid of the C library returned."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(parents);
int called(struct pt_regs *ctx)
{
    u64 parent = PT_REGS_RC(ctx);
    parents.perf_submit(ctx, &parent, sizeof(parent));
    return 0;
}
"""
)
bpf.attach_uprobe(name=b"c", sym=b"getppid", fn_name=b"called", pid=os.getpid())
bpf["parents"].open_perf_buffer(lambda cpu, data, size: print("the parent:", bpf["parents"].event(data)))
while True:
    os.getppid()
    bpf.perf_buffer_poll(100)
