// Files whose path is absolute, from the tracepoint.

struct opened {
    u32 pid;
    char first;
    char second;
};

BPF_PERF_OUTPUT(opens);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct opened event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.first = args->filename[0];
    event.second = args->filename[1];
    opens.perf_submit(args, &event, sizeof(event));
    return 0;
}
