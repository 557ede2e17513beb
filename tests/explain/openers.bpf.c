// Counts by process.

BPF_HASH(opens, u32, u64);

int on_openat(void *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    opens.atomic_increment(pid);
    return 0;
}
