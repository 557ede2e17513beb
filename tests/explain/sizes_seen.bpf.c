// Frames by queue, for the second device on.

#include <uapi/linux/bpf.h>

BPF_ARRAY(sizes, u32, 16); // queue -> frames

int on_frame(struct xdp_md *ctx)
{
    u32 slot;
    u32 *count;

    if (ctx->ingress_ifindex > 1)
        slot = ctx->rx_queue_index & 15;
    count = sizes.lookup(&slot);
    if (count)
        lock_xadd(count, 1);
    return XDP_PASS;
}
