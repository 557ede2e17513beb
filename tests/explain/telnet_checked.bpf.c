// A header of variable length, and the check after it.

#include <uapi/linux/bpf.h>

struct ports {
    __be16 source;
    __be16 destination;
};

BPF_ARRAY(dropped, u64, 1);

int no_telnet(struct xdp_md *ctx)
{
    u8 *data = (u8 *)(long)ctx->data;
    u8 *end = (u8 *)(long)ctx->data_end;
    u8 *ip = data + 14;

    if (ip + 20 > end)
        return XDP_PASS;
    struct ports *ports = (void *)(ip + (ip[0] & 0x0f) * 4);
    if ((void *)(ports + 1) > (void *)end || ports->destination != htons(23))
        return XDP_PASS;
    dropped.atomic_increment(0);
    return XDP_DROP;
}
