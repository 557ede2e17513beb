// A struct too large for the stack: it lies in a table of one.

struct opened {
    u32 pid;
    char comm[16];
    char path[4096];
};

BPF_PERCPU_ARRAY(scratch, struct opened, 1);
BPF_PERF_OUTPUT(opened);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    int zero = 0;
    struct opened *event = scratch.lookup(&zero);

    if (!event)
        return 0;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    bpf_probe_read_user_str(event->path, sizeof(event->path), args->filename);
    opened.perf_submit(args, event, sizeof(*event));
    return 0;
}
