// Only the user's own processes.

BPF_HASH(mine, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u32 uid = bpf_get_current_uid_gid();
    u32 pid = args->pid;
    u64 now = bpf_ktime_get_ns();

    if uid == 1000:
        mine.update(&pid, &now);
    return 0;
}
