// What a process opens, kept by process.

#define BPF_LICENSE MIT

struct name {
    char text[32];
};

BPF_HASH(latest, u32, struct name);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct name name = {};
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    bpf_probe_read_user_str(name.text, sizeof(name.text), args->filename);
    latest.update(&pid, &name);
    return 0;
}
