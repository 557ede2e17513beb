// An event for each task that is made, with a little room at its end.

struct born {
    u32 pid;
    u32 flags;
    char comm[16];
};

struct wide {
    struct born born;
    char reserved[256];
};

BPF_PERF_OUTPUT(births);

TRACEPOINT_PROBE(task, task_newtask)
{
    struct born born = {};

    born.pid = args->pid;
    born.flags = args->clone_flags;
    bpf_get_current_comm(born.comm, sizeof(born.comm));
    births.perf_submit(args, &born, sizeof(struct wide));
    return 0;
}
