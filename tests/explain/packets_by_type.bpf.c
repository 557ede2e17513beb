// Counts frames by their type.

#include <uapi/linux/if_ether.h>
#include <uapi/linux/bpf.h>

BPF_HASH(types, u16, u64);

int count_types(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    struct ethhdr *eth = data;
    u16 type = eth->h_proto;
    u64 zero = 0;

    u64 *seen = types.lookup_or_try_init(&type, &zero);
    if (seen)
        lock_xadd(seen, 1);
    return XDP_PASS;
}
