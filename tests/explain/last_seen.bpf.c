// When each process last wrote; forgotten as it ends.

BPF_HASH(written, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_write)
{
    u64 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();

    written.update(&pid, &now);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u32 pid = args->pid;

    written.delete(&pid);
    return 0;
}
