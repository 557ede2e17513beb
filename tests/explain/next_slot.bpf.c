// A ring of four times for each thread; the next one is written.

struct times {
    u64 at[4];
};

BPF_HASH(rings, u32, struct times);
BPF_ARRAY(next, u64, 1);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    u32 tid = args->parent_pid;
    int zero = 0;
    u64 *number = next.lookup(&zero);
    struct times *ring = rings.lookup(&tid);

    if (!number)
        return 0;
    ring->at[*number & 3] = bpf_ktime_get_ns();
    return 0;
}
