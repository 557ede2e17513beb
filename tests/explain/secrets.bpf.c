// Under another licence than the kernel's.

#define BPF_LICENSE Proprietary

#include <uapi/linux/ptrace.h>

int on_exec(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    bpf_trace_printk("an exec by %d\n", pid);
    return 0;
}
