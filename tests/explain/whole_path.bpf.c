// The whole path that a process opens, and its name.

#define PATH_MAX 512

struct open_event {
    u32 pid;
    u32 uid;
    u64 time_ns;
    char comm[16];
    char path[PATH_MAX];
};

BPF_PERF_OUTPUT(opens);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct open_event event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.uid = bpf_get_current_uid_gid();
    event.time_ns = bpf_ktime_get_ns();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    bpf_probe_read_user_str(event.path, sizeof(event.path), args->filename);
    opens.perf_submit(args, &event, sizeof(event));
    return 0;
}
