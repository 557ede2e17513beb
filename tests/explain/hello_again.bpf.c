// Prints a line on each clone.

int hello_kprobe(struct pt_regs *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    long flags = PT_REGS_PARM1(ctx);

    bpf_trace_printk("pid %d flags %x\n", (u32)(id >> 32), flags);
    return 0;
}
