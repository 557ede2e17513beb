"""Count the runs of this process's own garbage collector, by generation."""

import gc
import os
from pathlib import Path

from bcc import BPF, USDT

SOURCE = str(Path(__file__).with_name("garbage.bpf.c"))

gc.disable()  # only the runs below
# region enable
context = USDT(pid=os.getpid())
context.enable_probe("python:gc__start", "collection_starts")
bpf = BPF(src_file=SOURCE, usdt_contexts=[context])
# endregion
with bpf:
    for generation in (0, 2, 0, 1, 0):
        gc.collect(generation)
    for key, times in sorted(bpf["runs"].items(), key=lambda entry: entry[0].value):
        print(f"generation {key.value}: {times.value}")
