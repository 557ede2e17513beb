// The same for two tables, so a macro does it.

BPF_HASH(execs, u32, u64);
BPF_HASH(exits, u32, u64);

#define COUNT(table, pid)                                                                                              \
    do {                                                                                                               \
        u64 zero = 0, *count = table.lookup_or_try_init(&pid, &zero);                                                  \
        if (count)                                                                                                     \
            lock_xadd(count, 1);                                                                                       \
    } while (0)

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    COUNT(execs, pid);
    return 0;
}
