// An event for each file that is renamed, built in the ring: its two paths would not fit on the stack.

#include <uapi/linux/ptrace.h>

// region event
struct rename {
    u32 pid;
    char old[400];
    char new[400];
};
BPF_RINGBUF_OUTPUT(renames, 8);

TRACEPOINT_PROBE(syscalls, sys_enter_renameat2)
{
    struct rename *one = renames.ringbuf_reserve(sizeof(struct rename));

    if (!one)
        return 0;
    one->pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(one->old, sizeof(one->old), args->oldname);
    bpf_probe_read_user_str(one->new, sizeof(one->new), args->newname);
    if (one->old[0] == '.')
        renames.ringbuf_discard(one, 0);
    else
        renames.ringbuf_submit(one, 0);
    return 0;
}
// endregion
