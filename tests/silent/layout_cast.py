"""Prints who calls getppid, by a structure with a narrow time."""

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
BPF_PERF_OUTPUT(calls);
int called(struct pt_regs *ctx)
{
    struct event event = {};
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.when = bpf_ktime_get_ns();
    bpf_get_current_comm(&event.name, sizeof(event.name));
    calls.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
"""
)


class Event(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint32),
        ("when", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    ]


def show(cpu, data, size):
    event = ctypes.cast(data, ctypes.POINTER(Event)).contents
    if event.pid == os.getpid():
        print(event.when, event.name)


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(show)
for _ in range(5):
    os.getppid()
bpf.perf_buffer_poll(50)
