// The last call of each thread.

#include <uapi/linux/ptrace.h>

struct call_event {
    u64 time_ns;
    u32 tid;
    s64 number;
};

BPF_HASH(latest, u32, struct call_event);

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct call_evnt event = {};

    event.time_ns = bpf_ktime_get_ns();
    event.tid = tid;
    event.number = args->id;
    latest.update(&tid, &event);
    return 0;
}
