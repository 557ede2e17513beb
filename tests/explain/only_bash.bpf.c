// Counts the forks of bash alone.

BPF_HASH(forks, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    char comm[16] = {};
    u32 pid = args->parent_pid;
    u64 zero = 0;

    bpf_get_current_comm(comm, sizeof(comm));
    if (strcmp(comm, "bash") != 0)
        return 0;

    u64 *count = forks.lookup_or_try_init(&pid, &zero);
    if (count)
        lock_xadd(count, 1);
    return 0;
}
