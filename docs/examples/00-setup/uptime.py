"""Print the bytecode that one C function becomes."""

from pathlib import Path

from bcc import BPF

# region look
bpf = BPF(src_file=str(Path(__file__).with_name("uptime.bpf.c")))
bpf.load_func(b"uptime", BPF.RAW_TRACEPOINT)
print(bpf.disassemble_func(b"uptime"))
# endregion
bpf.cleanup()
