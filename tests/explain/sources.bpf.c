// Bytes by source address.

#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>

BPF_HASH(bytes, u32, u64);

int by_source(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;

    if (data + sizeof(*eth) > end)
        return XDP_PASS;
    if (eth->h_proto != htons(ETH_P_IP))
        return XDP_PASS;

    struct iphdr *ip = data + sizeof(*eth);
    u32 source = ip->saddr;
    u64 zero = 0, *sum = bytes.lookup_or_try_init(&source, &zero);
    if (sum)
        lock_xadd(sum, end - data);
    return XDP_PASS;
}
