// The path that is unlinked, copied into the event.

struct deleted {
    u64 time_ns;
    u32 pid;
    char path[24];
};

BPF_PERF_OUTPUT(deletes);

TRACEPOINT_PROBE(syscalls, sys_enter_unlink)
{
    struct deleted event = {};

    event.time_ns = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    __builtin_memcpy(event.path, args->pathname, sizeof(event.path));
    deletes.perf_submit(args, &event, sizeof(event));
    return 0;
}
