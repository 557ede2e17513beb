"""A careful tool: gives up root before it begins."""

import os
from pathlib import Path

from bcc import BPF

NOBODY = 65534


def main() -> None:
    os.setuid(NOBODY)
    bpf = BPF(src_file=str(Path(__file__).with_name("as_a_user.bpf.c")))
    bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"unlink"), fn_name=b"on_unlink")
    for _, _, _, _, _, message in iter(bpf.trace_fields, None):
        print(message.decode())


main()
