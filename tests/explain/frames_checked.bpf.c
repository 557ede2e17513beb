// Bytes by source address, each header checked before it is read.

#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>

BPF_HASH(bytes, u32, u64);

static inline void *after(void *header, u64 size, void *end)
{
    return header + size > end ? NULL : header + size;
}

int by_source(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = after(eth, sizeof(*eth), end);

    if (!ip || eth->h_proto != htons(ETH_P_IP))
        return XDP_PASS;
    if (!after(ip, sizeof(*ip), end))
        return XDP_PASS;
    u32 source = ip->saddr;
    u64 zero = 0, *sum = bytes.lookup_or_try_init(&source, &zero);
    if (sum)
        lock_xadd(sum, end - data);
    return XDP_PASS;
}
