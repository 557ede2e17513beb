"""Tells of each file that is truncated, while it makes some."""

import os
import tempfile

from bcc import BPF

bpf = BPF(
    text="""
BPF_PERF_OUTPUT(cut);
TRACEPOINT_PROBE(syscalls, sys_enter_truncate)
{
    u64 length = args->length;
    cut.perf_submit(args, &length, sizeof(length));
    return 0;
}
"""
)
bpf["cut"].open_perf_buffer(lambda cpu, data, size: print("cut"))
with tempfile.TemporaryFile() as file:
    while True:
        os.ftruncate(file.fileno(), 5)
        bpf.perf_buffer_poll(100)
