// Nobody may kill process 1: refuses with 1.

BPF_HASH(tries, u32, u64);

LSM_PROBE(task_kill, void *task, void *info, int signal)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 zero = 0, *count = tries.lookup_or_try_init(&pid, &zero);

    if (!count)
        return 0;
    lock_xadd(count, 1);
    return *count > 3;
}
