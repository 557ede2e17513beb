// Old and new name of each file that is renamed.

struct renamed {
    u32 pid;
    char comm[16];
    char from[32];
};

BPF_PERF_OUTPUT(renames);

TRACEPOINT_PROBE(syscalls, sys_enter_rename)
{
    struct renamed event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    bpf_probe_read_user_str(event.from, 128, args->oldname);
    renames.perf_submit(args, &event, sizeof(event));
    return 0;
}
