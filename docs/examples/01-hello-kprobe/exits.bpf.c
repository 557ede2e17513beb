// Runs each time a thread of any process ends.

#include <uapi/linux/ptrace.h>

int say_goodbye(struct pt_regs *ctx)
{
    bpf_trace_printk("ends on CPU %d\n", bpf_get_smp_processor_id());
    return 0;
}
