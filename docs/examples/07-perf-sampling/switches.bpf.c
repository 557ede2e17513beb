// Counts where in the kernel a process gives its CPU away.

struct bpf_perf_event_data;

struct where {
    u32 pid;
    int stack;
};

// region program
BPF_STACK_TRACE(paths, 16384);
BPF_HASH(switches, struct where, u64);

int on_switch(struct bpf_perf_event_data *ctx)
{
    struct where where = {};
    u64 none = 0, *times;

    where.pid = bpf_get_current_pid_tgid() >> 32;
    where.stack = paths.get_stackid(ctx, 0);
    times = switches.lookup_or_try_init(&where, &none);
    if (times)
        lock_xadd(times, 1);
    return 0;
}
// endregion
