"""Tells of the files that python3 opens."""

from bcc import BPF

bpf = BPF(
    text="""
BPF_RINGBUF_OUTPUT(opened, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    char name[16] = {};
    bpf_get_current_comm(&name, sizeof(name));
    if (name[0] != 'P' || name[1] != 'y')
        return 0;
    opened.ringbuf_output(&name, sizeof(name), 0);
    return 0;
}
"""
)
bpf["opened"].open_ring_buffer(lambda cpu, data, size: print("opened"))
while True:
    bpf.ring_buffer_poll(100)
