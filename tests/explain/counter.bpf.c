// Counts all calls in one number.

#include <uapi/linux/ptrace.h>

u64 calls = 0;

int on_call(struct pt_regs *ctx)
{
    calls++;
    bpf_trace_printk("call number %d\n", calls);
    return 0;
}
