// A struct that is only named, never known.

struct bpf_perf_event_data;

BPF_HASH(samples, u32, u64);
BPF_STACK_TRACE(stacks, 128);

static bool idle(u32 pid)
{
    return pid == 0;
}

int on_sample(struct bpf_perf_event_data *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    int stack = stacks.get_stackid(ctx, 0);

    if (!idle(pid) && stack >= 0)
        samples.atomic_increment(stack);
    return 0;
}
