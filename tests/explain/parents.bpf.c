// Counts children, for each parent.

struct family {
    u64 forks;
    u64 last_ns;
    char comm[16];
};

BPF_HASH(families, u32, struct family);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    u32 parent = args->parent_pid;
    struct family none = {};
    struct family *family = families.lookup_or_try_init(&parent, &none);

    // there is always an entry now
    family->last_ns = bpf_ktime_get_ns();
    family->forks++;
    bpf_get_current_comm(family->comm, sizeof(family->comm));
    return 0;
}
