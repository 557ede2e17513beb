// A whole page of text for each CPU, and some.

struct text {
    char bytes[65536];
};

BPF_PERCPU_ARRAY(texts, struct text, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    int zero = 0;
    struct text *text = texts.lookup(&zero);

    if (text)
        bpf_probe_read_user_str(text->bytes, 4096, args->filename);
    return 0;
}
