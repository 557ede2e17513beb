"""Print each fork until Ctrl-C."""

from pathlib import Path

from bcc import BPF

with BPF(src_file=str(Path(__file__).with_name("until_ctrl_c.bpf.c"))) as bpf:

    def show(ctx, data, size):
        fork = bpf["forks"].event(data)
        print(f"{fork.parent} -> {fork.child}", flush=True)

    bpf["forks"].open_ring_buffer(show)
    try:
        while True:
            bpf.ring_buffer_poll()
    except KeyboardInterrupt:
        print("bye")
