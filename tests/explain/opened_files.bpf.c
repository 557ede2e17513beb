// Each file that is opened.

struct opened {
    u32 pid;
    char path[100];
};

BPF_PERF_OUTPUT(opened);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct opened event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(event.path, sizeof(event.path), args->file_name);
    opened.perf_submit(args, &event, sizeof(event));
    return 0;
}
