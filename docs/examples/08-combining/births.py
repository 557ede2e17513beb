"""Run a command; print how many forks (new threads included) and execs its process made."""

import subprocess
import sys
from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("births.bpf.c")))
process = subprocess.Popen(sys.argv[1:])
process.wait()
count = bpf["counts"][bpf["counts"].Key(process.pid)]
print(f"{count.forks} forks, {count.execs} execs")
