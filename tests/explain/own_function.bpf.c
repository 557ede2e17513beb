// A function of its own, not even marked as inline, with a table in it.

BPF_HASH(seen, u32, u64);
BPF_HISTOGRAM(gaps_us);

static int gap(u32 pid, u64 now)
{
    u64 *last = seen.lookup(&pid);

    if (!last)
        return -1;
    return (now - *last) / 1000;
}

TRACEPOINT_PROBE(sched, sched_wakeup)
{
    u32 pid = args->pid;
    u64 now = bpf_ktime_get_ns();
    int us = gap(pid, now);

    if (us >= 0)
        gaps_us.atomic_increment(bpf_log2l(us));
    seen.update(&pid, &now);
    return 0;
}
