"""Lesson 00 against bpftool and uname: the same kernel, asked by another program."""

import json
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_bpftool_counts_the_same_instructions(loader, bpf):
    listed = json.loads(output_of("bpftool", "--json", "prog", "show"))
    for name in loader.PROGRAMS:
        (in_bytes,) = [program["bytes_xlated"] for program in listed if program.get("name") == name.decode()]
        reference, bpftool = loader.instructions(bpf, name), in_bytes // loader.INSTRUCTION_BYTES
        print(f"{name.decode()}: reference {reference}, bpftool {bpftool}")
        assert reference == bpftool


def test_uname_and_bpftool_report_the_same_facts(loader):
    facts = loader.facts()
    system = json.loads(output_of("bpftool", "--json", "feature", "probe", "kernel"))["system_config"]
    release, setting = output_of("uname", "-r").strip(), system["bpf_jit_enable"]
    print(f"release: reference {facts.release}, uname {release}; JIT: reference {facts.jit}, bpftool {setting}")
    assert facts.release == release
    assert facts.jit is (setting != 0)


def test_bpftool_knows_the_btf_that_the_reference_found(loader):
    """Of its own BTF a kernel before 5.11 has no number to list: there bpftool reads the file."""
    path = Path("/sys/kernel/btf/vmlinux")
    listed = [
        btf["size"] for btf in json.loads(output_of("bpftool", "--json", "btf", "show")) if btf.get("name") == "vmlinux"
    ]
    if listed:
        on_file = [path.stat().st_size] if loader.facts().btf else []
        print(f"bytes of BTF: the file that the reference found {on_file}, bpftool {listed}")
        assert on_file == listed
    else:
        with subprocess.Popen(["bpftool", "btf", "dump", "file", path], stdout=subprocess.PIPE, text=True) as bpftool:
            found = any("STRUCT 'task_struct'" in line for line in bpftool.stdout)
            bpftool.kill()
        print(f"BTF: reference {loader.facts().btf}, bpftool finds task_struct in the file: {found}")
        assert loader.facts().btf is found
