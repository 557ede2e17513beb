"""Prints who calls getppid, by a format without padding."""

import ctypes
import struct

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct event {
    u32 pid;
    u64 when;
    char name[16];
};
BPF_RINGBUF_OUTPUT(calls, 8);
int called(struct pt_regs *ctx)
{
    struct event event = {};
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.when = bpf_ktime_get_ns();
    bpf_get_current_comm(&event.name, sizeof(event.name));
    calls.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
"""
)


def show(cpu, data, size):
    pid, when, name = struct.unpack("<IQ16s", ctypes.string_at(data, 28))
    print(pid, when, name)


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_ring_buffer(show)
while True:
    bpf.ring_buffer_poll(100)
