"""The names of what ends, checked on the way."""

import subprocess
from pathlib import Path

from bcc import BPF


class Names:
    def __init__(self, bpf):
        self.table = bpf["ends"]
        self.names = []
        self.table.open_perf_buffer(self.receive)

    def receive(self, cpu, data, size):
        name = self.table.event(data).comm.decode()
        assert name.isupper(), f"{name} is not in capitals"
        self.names.append(name)


with BPF(src_file=str(Path(__file__).with_name("ascii_only.bpf.c"))) as bpf:
    names = Names(bpf)
    subprocess.run(["true"], check=False)
    bpf.perf_buffer_poll(timeout=500)
    print(names.names)
