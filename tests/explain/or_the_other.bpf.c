// The entry of the thread, or else that of its process.

BPF_HASH(limits, u32, u64);
BPF_HISTOGRAM(seen);

TRACEPOINT_PROBE(signal, signal_generate)
{
    u64 both = bpf_get_current_pid_tgid();
    u32 tid = both, pid = both >> 32;
    u64 *limit = limits.lookup(&tid) ?: limits.lookup(&pid);

    if (limit != NULL && *limit > 0) {
        *limit -= 1;
        seen.atomic_increment(bpf_log2l(*limit));
    }
    return 0;
}
