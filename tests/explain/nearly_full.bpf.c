// 480 bytes of path and a little more: just under the limit of the stack.

struct opened {
    u64 time_ns;
    u32 pid;
    u32 uid;
    char path[480];
};

BPF_PERF_OUTPUT(opened);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct opened event = {};

    event.time_ns = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.uid = bpf_get_current_uid_gid();
    bpf_probe_read_user_str(event.path, sizeof(event.path), args->filename);
    opened.perf_submit(args, &event, sizeof(event));
    return 0;
}
