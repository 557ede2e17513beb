"""Prints which files are removed, for two seconds."""

import os
import signal
import tempfile

from bcc import BPF

bpf = BPF(
    text="""
BPF_RINGBUF_OUTPUT(removed, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_rmdir)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    removed.ringbuf_output(&pid, sizeof(pid), 0);
    return 0;
}
"""
)
bpf["removed"].open_ring_buffer(lambda cpu, data, size: print("removed"))
signal.alarm(2)
while True:
    os.close(os.open(path := os.path.join(tempfile.gettempdir(), "silent"), os.O_CREAT | os.O_WRONLY, 0o600))
    os.unlink(path)
    bpf.ring_buffer_poll(50)
