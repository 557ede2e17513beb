"""Takes an event apart with struct."""

import struct
import subprocess
from pathlib import Path

from bcc import BPF

LAYOUT = "<QI16s"
bpf = BPF(src_file=str(Path(__file__).with_name("unpacked.bpf.c")))
buffer = bpf["forks"]
seen = []


def receive(ctx, data, size):
    event = buffer.event(data)
    seen.append(struct.unpack(LAYOUT, bytes(event)))


buffer.open_ring_buffer(receive)
subprocess.run(["true"])
bpf.ring_buffer_consume()
print(len(seen), "forks")
