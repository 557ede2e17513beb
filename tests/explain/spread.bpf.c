// Spreads the threads over eight slots, by where their entry lies.

BPF_HASH(entries, u32, u64);
BPF_ARRAY(slots, u64, 8);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 zero = 0;
    u64 *entry = entries.lookup_or_try_init(&tid, &zero);

    if (!entry)
        return 0;
    int slot = ((u64)entry >> 4) & 7;
    slots.atomic_increment(slot);
    return 0;
}
