// How long does a thread have the CPU? First a tracepoint for the beginning, then one for the end.

BPF_HASH(since, u32, u64);
BPF_HISTOGRAM(ran_us);

TRACEPOINT_PROBE(sched, sched_wakeup_new)
{
    u32 pid = args->pid;
    u64 now = bpf_ktime_get_ns();

    since.update(&pid, &now);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_switch)
{
    u32 prev = args->previous_pid;
    u32 next = args->next_pid;
    u64 now = bpf_ktime_get_ns();
    u64 *began = since.lookup(&prev);

    if (began)
        ran_us.atomic_increment(bpf_log2l((now - *began) / 1000));
    since.update(&next, &now);
    return 0;
}
