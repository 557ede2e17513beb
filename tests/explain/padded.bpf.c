// Frames by device and queue.

#include <uapi/linux/bpf.h>

struct key {
    u8 queue;
    u32 device;
};

BPF_HASH(frames, struct key, u64);

int on_frame(struct xdp_md *ctx)
{
    struct key key;
    u64 zero = 0, *count;

    key.queue = ctx->rx_queue_index;
    key.device = ctx->ingress_ifindex;
    count = frames.lookup_or_try_init(&key, &zero);
    if (count)
        lock_xadd(count, 1);
    return XDP_PASS;
}
