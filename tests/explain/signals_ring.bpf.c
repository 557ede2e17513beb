// Who sends which signal to whom.

struct sending {
    u32 from;
    u32 to;
    int signal;
};

BPF_RINGBUF_OUTPUT(sendings, 4);

TRACEPOINT_PROBE(signal, signal_generate)
{
    struct sending *one = sendings.ringbuf_reserve(sizeof(*one));

    if (!one)
        return 0;
    one->from = bpf_get_current_pid_tgid() >> 32;
    one->to = args->pid;
    one->signal = args->sig;
    return 0;
}
