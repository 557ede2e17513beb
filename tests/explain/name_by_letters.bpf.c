// Counts by the letters of a name: which of its first sixteen, and of the file's first four, are no small ones.

#include <uapi/linux/ptrace.h>

int on_call(struct pt_regs *ctx)
{
    char comm[16] = {}, file[16] = {};
    u8 places[64] = {};
    u32 place = 0;

    bpf_get_current_comm(comm, sizeof(comm));
    bpf_probe_read_user_str(file, sizeof(file), (void *)PT_REGS_PARM1(ctx));
    if (comm[0] < 'a')
        place += 1;
    if (comm[1] < 'a')
        place += 2;
    if (comm[2] < 'a')
        place += 4;
    if (comm[3] < 'a')
        place += 8;
    if (comm[4] < 'a')
        place += 16;
    if (comm[5] < 'a')
        place += 32;
    if (comm[6] < 'a')
        place += 64;
    if (comm[7] < 'a')
        place += 128;
    if (comm[8] < 'a')
        place += 256;
    if (comm[9] < 'a')
        place += 512;
    if (comm[10] < 'a')
        place += 1024;
    if (comm[11] < 'a')
        place += 2048;
    if (comm[12] < 'a')
        place += 4096;
    if (comm[13] < 'a')
        place += 8192;
    if (comm[14] < 'a')
        place += 16384;
    if (comm[15] < 'a')
        place += 32768;
    if (file[0] < 'a')
        place += 65536;
    if (file[1] < 'a')
        place += 131072;
    if (file[2] < 'a')
        place += 262144;
    if (file[3] < 'a')
        place += 524288;
    places[(place ^ place >> 6 ^ place >> 12 ^ place >> 18) & 63] = 1;
    bpf_trace_printk("%d\\n", places[PT_REGS_PARM2(ctx) & 63]);
    return 0;
}
