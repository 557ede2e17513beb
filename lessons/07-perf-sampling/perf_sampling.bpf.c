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
    return 0;
}
