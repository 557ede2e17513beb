// A histogram of the second argument.

#include <uapi/linux/ptrace.h>

BPF_HISTOGRAM(lengths);

int on_length(struct pt_regs *ctx)
{
    lengths.atomic_increment(bpf_log2l(PT_REGS_PARM2(ctx)));
    return 0;
}
