// When was each process last on a CPU?

BPF_HASH(last, u32, u64);

static inline u64 now(void)
{
    return bpf_ktime_get_nanoseconds();
}

TRACEPOINT_PROBE(sched, sched_switch)
{
    u32 next = args->next_pid;
    u64 time = now();

    last.update(&next, &time);
    return 0;
}
