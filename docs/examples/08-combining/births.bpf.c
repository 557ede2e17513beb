// How many forks (new threads included) and execs a process makes: two tracepoints, one map.

struct count {
    u32 forks;
    u32 execs;
};

BPF_HASH(counts, u32, struct count); // by process id

// region share
TRACEPOINT_PROBE(sched, sched_process_fork)
{
    u32 maker = bpf_get_current_pid_tgid() >> 32;
    struct count none = {}, *count = counts.lookup_or_try_init(&maker, &none);

    if (count)
        lock_xadd(&count->forks, 1);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct count none = {}, *count = counts.lookup_or_try_init(&pid, &none);

    if (count)
        lock_xadd(&count->execs, 1);
    return 0;
}
// endregion
