// The result of a login.

#include <uapi/linux/ptrace.h>

int on_login(struct pt_regs *ctx)
{
    bpf_trace_printk("login: %d\n", (int)PT_REGS_RC(ctx));
    return 0;
}
