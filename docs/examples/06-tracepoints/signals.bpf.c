// The kernel's half of the example: which program a process became, which signals it sent, how many arrived.

struct program {
    char file[64];
};

struct sending {
    u32 from;
    u32 to;
    int sig;
};

struct delivery {
    u32 to;
    int sig;
};

BPF_HASH(programs, u32, struct program);
BPF_HASH(sendings, struct sending, u64);
BPF_HASH(deliveries, struct delivery, u64);

// region record
TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = args->pid;
    struct program program = {};

    TP_DATA_LOC_READ_STR(program.file, filename, sizeof(program.file));
    programs.update(&pid, &program);
    return 0;
}

TRACEPOINT_PROBE(signal, signal_generate)
{
    struct sending key = {};
    u64 none = 0, *times;

    key.from = bpf_get_current_pid_tgid() >> 32; // who runs now: the sender, if a process sent it
    key.to = args->pid;                          // who is in the record: the receiver
    key.sig = args->sig;
    times = sendings.lookup_or_try_init(&key, &none);
    if (times)
        lock_xadd(times, 1);
    return 0;
}
// endregion

// region raw
// TP_PROTO(int sig, struct kernel_siginfo *info, struct k_sigaction *ka)
RAW_TRACEPOINT_PROBE(signal_deliver)
{
    struct delivery key = {};
    u64 none = 0, *times;

    key.to = bpf_get_current_pid_tgid() >> 32;
    key.sig = ctx->args[0];
    times = deliveries.lookup_or_try_init(&key, &none);
    if (times)
        lock_xadd(times, 1);
    return 0;
}
// endregion
