// Who sends SIGKILL?

BPF_HASH(senders, u32, u64);

TRACEPOINT_PROBE(signal, signal_generate)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();

    if (args->sig != 9)
        return 0;
    sender.update(&pid, &now);
    return 0;
}
