"""Prints who calls getppid, by a packed structure."""

import ctypes
import os

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


class Call(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("pid", ctypes.c_uint32), ("when", ctypes.c_uint64), ("name", ctypes.c_char * 16)]


def show(cpu, data, size):
    call = Call.from_buffer_copy(ctypes.string_at(data, ctypes.sizeof(Call)))
    print(call.pid, call.when, call.name)


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_ring_buffer(show)
for _ in range(5):
    os.getppid()
bpf.ring_buffer_poll(50)
