// Keeps the address of an entry, to compare it with later ones.

struct entry {
    u64 packets;
    u64 before;
};

BPF_HASH(entries, u32, struct entry);

int on_packet(struct __sk_buff *skb)
{
    u32 kind = skb->protocol;
    struct entry none = {};
    struct entry *entry = entries.lookup_or_try_init(&kind, &none);

    if (!entry)
        return 0;
    entry->packets++;
    entry->before = (u64)entry;
    return 0;
}
