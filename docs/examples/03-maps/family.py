"""Fork more children than a map has room for, and see which it kept."""

import os
import subprocess
from pathlib import Path

from bcc import BPF

CHILDREN = 11


def fork() -> int:
    """Start a child, wait until it exits; its process id."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


with BPF(src_file=str(Path(__file__).with_name("family.bpf.c"))) as bpf:
    # region tables
    bpf["whose"][0] = bpf["whose"].Leaf(os.getpid())
    forked = [fork() for _ in range(CHILDREN)]
    kept = [key.value for key, _ in bpf["parents"].items_lookup_batch()]
    error = -bpf["refusal"][0].value
    # endregion
    print(f"{len(forked)} children, {len(kept)} in the map")
    print(f"the first {len(kept)} of them: {sorted(kept) == sorted(forked[: len(kept)])}")
    print(f"the others: error {error}, {os.strerror(error)}")
