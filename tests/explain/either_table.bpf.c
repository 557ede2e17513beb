// One function that counts in any table.

BPF_HASH(execs, u32, u64);
BPF_HASH(exits, u32, u64);

static inline void count_in(void *table, u32 pid)
{
    u64 zero = 0;
    u64 *count = table->lookup_or_try_init(&pid, &zero);

    if (count)
        lock_xadd(count, 1);
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    count_in(&execs, bpf_get_current_pid_tgid() >> 32);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    count_in(&exits, bpf_get_current_pid_tgid() >> 32);
    return 0;
}
