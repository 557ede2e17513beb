// An event for each file that could not be opened: its name and the error, from one program at one function's exit.

#include <uapi/linux/ptrace.h>

// region filename
// The first field of the kernel's struct filename (include/linux/fs.h); the others are not needed.
struct filename {
    const char *name;
};
// endregion

struct missing {
    u32 pid;
    s32 error;
    char name[64];
};
BPF_RINGBUF_OUTPUT(events, 8);

// region exit
KRETFUNC_PROBE(do_filp_open, int folder, struct filename *path, void *flags, void *result)
{
    s64 error = (s64)result; // an address, or a small negative number instead of one
    struct missing *one;

    if (error >= 0 || error < -4095)
        return 0;
    one = events.ringbuf_reserve(sizeof(struct missing));
    if (!one)
        return 0;
    one->pid = bpf_get_current_pid_tgid() >> 32;
    one->error = error;
    bpf_probe_read_kernel_str(one->name, sizeof(one->name), path->name);
    events.ringbuf_submit(one, 0);
    return 0;
}
// endregion
