// The check stands in a macro.

#define MUST(pointer)                                                                                                  \
    if (!(pointer))                                                                                                    \
    return 0

BPF_HASH(began, u32, u64);
BPF_HASH(took, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();

    began.update(&pid, &now);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 *since = began.lookup(&pid);

    MUST(since);
    u64 ns = bpf_ktime_get_ns() - *since;
    took.update(&pid, &ns);
    return 0;
}
