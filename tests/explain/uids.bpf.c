// Which user starts how many programs?

BPF_HASH(users, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    uint32 uid = bpf_get_current_uid_gid();
    u64 zero = 0;
    u64 *count = users.lookup_or_try_init(&uid, &zero);

    if (count)
        lock_xadd(count, 1);
    return 0;
}
