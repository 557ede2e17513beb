"""Prints who calls getppid, with two fields changed over."""

import ctypes

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
        ("when", ctypes.c_uint64),
        ("pid", ctypes.c_uint64),
        ("name", ctypes.c_char * 16),
    ]


def show(cpu, data, size):
    event = Event()
    ctypes.memmove(ctypes.byref(event), data, ctypes.sizeof(event))
    print(event.pid, event.name)


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(show)
while True:
    bpf.perf_buffer_poll(100)
