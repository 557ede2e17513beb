"""Count opens: the function's name differs from kernel to kernel, so the next name is tried."""

from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("falls_back.bpf.c")))
for function in (b"do_sys_openat3", b"do_sys_openat2", b"do_sys_open"):
    try:
        bpf.attach_kprobe(event=function, fn_name=b"on_open")
        break
    except Exception as error:
        print(f"not {function.decode()}: {error}")
with open("/etc/hostname") as file:
    file.read()
print(sum(count.value for count in bpf["opens"].values()), "opens")
