// The name of each new program.

struct name {
    char comm[TASK_COMM_LEN];
};

BPF_HASH(names, u32, struct name);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct name name = {};
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    bpf_get_current_comm(name.comm, sizeof(name.comm));
    names.update(&pid, &name);
    return 0;
}
