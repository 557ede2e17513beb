// Drops what goes to port 23.

#include <uapi/linux/bpf.h>

struct ports {
    __be16 source;
    __be16 destination;
};

BPF_ARRAY(dropped, u64, 1);

int no_telnet(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    u8 *ip = data + 14;

    if ((void *)(ip + 20) > end)
        return XDP_PASS;
    u32 length = (ip[0] & 0x0f) * 4;
    struct ports *ports = (void *)ip + length;
    if (ports->destination != htons(23))
        return XDP_PASS;
    dropped.increment(0);
    return XDP_DROP;
}
