// Counts forks of processes named "bash", compared letter by letter.

BPF_HASH(forks, u32, u64);

static inline bool is_bash(const char *comm)
{
    const char wanted[] = "bash";

    for (int i = 0; i < sizeof(wanted); i++)
        if (comm[i] != wanted[i])
            return false;
    return true;
}

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    char comm[16] = {};
    u32 pid = args->parent_pid;
    u64 zero = 0, *count;

    bpf_get_current_comm(comm, sizeof(comm));
    if (!is_bash(comm))
        return 0;
    count = forks.lookup_or_try_init(&pid, &zero);
    if (count)
        (*count)++;
    return 0;
}
