// The kernel's half of lesson 04: runs each time a process has become another program.

#include <uapi/linux/ptrace.h>

struct exec_event {
    u64 time_ns; // when, on the kernel's monotonic clock
    u32 pid;
    u32 uid;
    char comm[16];
};

// One ring for each CPU, between this program and loader.py; events go in here and come out there.
BPF_PERF_OUTPUT(events);

// A tracepoint: a fixed place in the kernel's exec; BCC attaches the program when it loads it. Lesson 06 explains more.
TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct exec_event event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;

    // TODO 7: if the compiler was given ONLY_PID (#ifdef), return 0 here for every other process

    // TODO 1: fill in the time, the user's id and comm, then submit the event to this CPU's ring

    return 0;
}
