// The kernel's half of lesson 07: at each tick of the clock, which process has the CPU and what it is doing there.

struct bpf_perf_event_data; // its fields are not read here, and its header takes BCC many seconds to compile

struct stack_key {
    u32 pid;
    int user;   // number of a stack in `stacks`, or a negative error
    int kernel; // the same
    char comm[16];
};

BPF_ARRAY(only, u32, 1);       // the process to count; 0: every process
BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(counts, struct stack_key, u64);

// Whether a sample of process `pid` counts.
static __always_inline bool wanted(u32 pid)
{
    int zero = 0;
    u32 *process = only.lookup(&zero);
    bool yes = true;

    if (!process)
        return false;
    // TODO 3: an idle CPU (pid 0) never counts; if *process is not 0, only that process counts
    if (pid == 0 || (*process && *process != pid))
        yes = false;
    // end of TODO 3
    return yes;
}

int on_sample(struct bpf_perf_event_data *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct stack_key key = {};
    u64 none = 0, *count;

    if (!wanted(pid))
        return 0;
    key.pid = pid;
    bpf_get_current_comm(&key.comm, sizeof(key.comm));

    // TODO 2: put the numbers of the user stack and the kernel stack into key; add one to its entry, losing none
    key.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    key.kernel = stacks.get_stackid(ctx, 0);
    count = counts.lookup_or_try_init(&key, &none);
    if (count)
        lock_xadd(count, 1);
    return 0;
    // end of TODO 2
}
