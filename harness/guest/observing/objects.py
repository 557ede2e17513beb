"""The BPF programs, maps and attachments that a process holds, as the kernel describes them: bpf(2) and /proc."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.protocol.facts import Attachment, Map, Program

PROC = Path("/proc")
FD_KINDS = ("raw tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe")
"""enum bpf_task_fd_type (include/uapi/linux/bpf.h, Linux 6.12)."""
MAP_IDS_MAX = 64
names: dict[int, str] = {}
"""Whole names of programs that this process loaded, by id: the kernel keeps 15 letters."""


class ProgramInfo(ctypes.Structure):
    """The head of struct bpf_prog_info (include/uapi/linux/bpf.h, Linux 6.12)."""

    _fields_ = [
        ("type", ctypes.c_uint32), ("id", ctypes.c_uint32), ("tag", ctypes.c_uint8 * 8),
        ("jited", ctypes.c_uint32), ("xlated", ctypes.c_uint32),
        ("jited_insns", ctypes.c_uint64), ("xlated_insns", ctypes.c_uint64),
        ("load_time", ctypes.c_uint64), ("uid", ctypes.c_uint32), ("nr_map_ids", ctypes.c_uint32),
        ("map_ids", ctypes.c_uint64), ("name", ctypes.c_char * 16), ("ifindex", ctypes.c_uint32),
        ("flags", ctypes.c_uint32), ("netns_dev", ctypes.c_uint64), ("netns_ino", ctypes.c_uint64),
        ("nr_jited_ksyms", ctypes.c_uint32), ("nr_jited_func_lens", ctypes.c_uint32),
        ("jited_ksyms", ctypes.c_uint64), ("jited_func_lens", ctypes.c_uint64),
        ("btf_id", ctypes.c_uint32), ("func_info_rec_size", ctypes.c_uint32), ("func_info", ctypes.c_uint64),
        ("nr_func_info", ctypes.c_uint32), ("nr_line_info", ctypes.c_uint32), ("line_info", ctypes.c_uint64),
        ("jited_line_info", ctypes.c_uint64), ("nr_jited_line_info", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32), ("jited_line_info_rec_size", ctypes.c_uint32),
        ("nr_prog_tags", ctypes.c_uint32), ("prog_tags", ctypes.c_uint64),
        ("run_ns", ctypes.c_uint64), ("runs", ctypes.c_uint64), ("missed", ctypes.c_uint64),
        ("verified", ctypes.c_uint32),
    ]  # fmt: skip


class MapInfo(ctypes.Structure):
    """The head of struct bpf_map_info."""

    _fields_ = [
        ("type", ctypes.c_uint32), ("id", ctypes.c_uint32), ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32), ("max_entries", ctypes.c_uint32), ("flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    ]  # fmt: skip


def _library() -> Any:
    from bcc import lib

    return lib


def files(pid: int) -> Iterator[tuple[int, str]]:
    """Each open file of a process: number, what it is."""
    folder = f"{PROC}/{pid}/fd"  # read before each test: a Path for each file would cost more than the reading
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                yield int(name), os.readlink(f"{folder}/{name}")


def fdinfo(pid: int, fd: int) -> dict[str, str]:
    """What the kernel says of an open file; empty where it is gone."""
    try:
        lines = (PROC / str(pid) / "fdinfo" / str(fd)).read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stat(pid: int) -> list[str]:
    """A process's state and what follows it (proc(5), /proc/PID/stat, field 3 on); OSError when it has ended."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()  # its name may hold anything


def used_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    user, system = stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def program_ids(pid: int) -> set[int]:
    """Ids of the programs that the process holds open."""
    held = (fdinfo(pid, fd) for fd, what in files(pid) if what == "anon_inode:bpf-prog")
    return {int(info["prog_id"]) for info in held if "prog_id" in info}


def runs(pid: int) -> dict[int, int]:
    """Program → how often it ran, of the programs that the process holds open."""
    held = (fdinfo(pid, fd) for fd, what in files(pid) if what == "anon_inode:bpf-prog")
    return {int(info["prog_id"]): int(info.get("run_cnt", 0)) for info in held if "prog_id" in info}


def programs(pid: int) -> list[Program]:
    """The programs that the process holds open, in the order in which they were loaded."""
    return [found for number in sorted(program_ids(pid)) if (found := program(number)) is not None]


def program(number: int) -> Program | None:
    """The program of that id, or None where it is gone."""
    fd = _library().bpf_prog_get_fd_by_id(number)
    if fd < 0:
        return None
    maps = (ctypes.c_uint32 * MAP_IDS_MAX)()
    info = ProgramInfo(nr_map_ids=MAP_IDS_MAX, map_ids=ctypes.addressof(maps))
    try:
        if not _describe(fd, info):
            return None
    finally:
        os.close(fd)
    held = tuple(maps[: min(info.nr_map_ids, MAP_IDS_MAX)])
    name = names.get(info.id, info.name.decode(errors="replace"))
    return Program(
        id=info.id, name=name, type=info.type, runs=info.runs, run_ns=info.run_ns, maps=held,
        xlated=info.xlated, jited=info.jited, verified=info.verified,
    )  # fmt: skip


def maps(numbers: set[int]) -> list[Map]:
    """The maps of those ids that are still there."""
    found = []
    for number in sorted(numbers):
        fd = _library().bpf_map_get_fd_by_id(number)
        if fd < 0:
            continue
        info = MapInfo()
        if _describe(fd, info):
            size = int(fdinfo(os.getpid(), fd).get("memlock", 0))
            name = info.name.decode(errors="replace")
            found.append(
                Map(
                    id=info.id, name=name, type=info.type, key_size=info.key_size, value_size=info.value_size,
                    max_entries=info.max_entries, bytes=size,
                )
            )  # fmt: skip
        os.close(fd)
    return found


def _describe(fd: int, info: ctypes.Structure) -> bool:
    length = ctypes.c_uint32(ctypes.sizeof(info))
    return bool(_library().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(length)) == 0)


def attachments(pid: int) -> list[Attachment]:
    """Where the programs of a process are attached, by its own open files: perf events and links."""
    found = []
    for fd, what in files(pid):
        if what == "anon_inode:[perf_event]":
            found += _of_perf_event(pid, fd)
        elif what.startswith("anon_inode:bpf") and "link_type" in (info := fdinfo(pid, fd)):
            target = info.get("tp_name") or info.get("target_obj_id") or ""
            found.append(Attachment(program=int(info["prog_id"]), kind=info["link_type"], target=target))
    return found


def _of_perf_event(pid: int, fd: int) -> list[Attachment]:
    """By BPF_TASK_FD_QUERY, which refuses to speak of perf events' own programs (EOPNOTSUPP) and knows no buffers."""
    name, size = ctypes.create_string_buffer(512), ctypes.c_uint32(512)
    number, kind, offset, address = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_uint64(), ctypes.c_uint64()
    answer = _library().bpf_task_fd_query(
        pid, fd, 0, name, *map(ctypes.byref, (size, number, kind, offset, address))
    )  # fmt: skip
    if answer == 0:
        target = name.value.decode(errors="replace")
        return [Attachment(program=number.value, kind=FD_KINDS[kind.value], target=target, offset=offset.value)]
    return [Attachment(program=0, kind="perf event", target="")] if ctypes.get_errno() == 95 or answer == -95 else []
