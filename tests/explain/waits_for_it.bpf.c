// Wait until the other program has set the flag, then count.

BPF_ARRAY(ready, u32, 1);
BPF_HASH(exits, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    int zero = 0;
    u32 pid = args->pid;
    u64 now = bpf_ktime_get_ns();
    u32 *flag = ready.lookup(&zero);

    if (!flag)
        return 0;
    while (*(volatile u32 *)flag == 0)
        ;
    exits.update(&pid, &now);
    return 0;
}
