// How many frames of each kind?

BPF_ARRAY(kinds, u64, 2);

int on_frame(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;

    if (data + sizeof(struct ethhdr) > end)
        return XDP_PASS;
    kinds.atomic_increment(eth->h_proto == 8);
    return XDP_PASS;
}
