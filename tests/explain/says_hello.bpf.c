// My first program.

#include <uapi/linux/ptrace.h>

int hello_kprobe(struct pt_regs *ctx)
{
    printf("hello from %d\n", (int)(bpf_get_current_pid_tgid() >> 32));
    return 0;
}
