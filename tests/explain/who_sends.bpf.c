// Which program sends packets out through this device?

#include <uapi/linux/bpf.h>

struct who {
    char comm[16];
};

BPF_HASH(frames, struct who, u64);

int on_frame(struct xdp_md *ctx)
{
    struct who who = {};
    u64 zero = 0, *count;

    bpf_get_current_comm(&who.comm, sizeof(who.comm));
    count = frames.lookup_or_try_init(&who, &zero);
    if (count)
        lock_xadd(count, 1);
    return XDP_PASS;
}
