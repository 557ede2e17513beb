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
#ifdef ONLY_PID
    if (event.pid != ONLY_PID)
        return 0;
#endif
    // end of TODO 7

    // TODO 1: fill in the time, the user's id and comm, then submit the event to this CPU's ring
    event.time_ns = bpf_ktime_get_ns();
    event.uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    events.perf_submit(args, &event, sizeof(event));
    // end of TODO 1

    return 0;
}
