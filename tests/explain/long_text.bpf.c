// How many slashes are there in the first part of what is written?

#include <uapi/linux/ptrace.h>

#define LENGTH 10000

BPF_HISTOGRAM(slashes);

int syscall__write(struct pt_regs *ctx, int fd, const char __user *buf, size_t count)
{
    u64 found = 0;

    for (u32 i = 0; i < LENGTH; i++) {
        char letter = 0;

        bpf_probe_read_user(&letter, 1, buf + i);
        if (letter == '/')
            found++;
        if (letter == 0)
            break;
    }
    slashes.atomic_increment(found);
    return 0;
}
