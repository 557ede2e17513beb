"""Writes down what a script does with BCC, and has it looked at before its programs, maps and buffers are gone.

Only a process that was made for explaining runs under it. When it has to be looked at it stops itself (SIGSTOP), and
whoever watches it looks and lets it go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
import io
import json
import mmap
import os
import re
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bcc import BPF, lib
from bcc import table as tables

from harness.guest.observing import objects
from harness.guest.observing.recorder import Recorder
from harness.protocol import codec
from harness.protocol.facts import Arrived, Called, Layout, Part

ATTACHING = (
    "attach_kprobe", "attach_kretprobe", "attach_uprobe", "attach_uretprobe", "attach_tracepoint",
    "attach_raw_tracepoint", "attach_perf_event", "attach_kfunc", "attach_kretfunc", "attach_lsm",
)  # fmt: skip
READING = ("perf_buffer_poll", "perf_buffer_consume", "ring_buffer_poll", "ring_buffer_consume", "trace_readline")
ENDING = ("SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGPROF", "SIGQUIT")
"""Signals that end a process which does not ask for them."""
BASELINES_MAX = 20
"""How often the kernel's counts of system calls are copied: a pattern can attach hundreds of functions."""
CALLS_MAX, LAYOUTS_MAX = 200, 50
NOT_ITS_OWN = ("<frozen importlib", os.path.dirname(tables.__file__), os.path.dirname(__file__))
"""Files that open others in the script's process: import, BCC, and ours."""
NOTED_S = 0.2
"""Seconds after which what came is written down again: a script that does not end may be killed in its callback."""
ITEM = re.compile(r"(\d*)([a-zA-Z?])")


class Watch:
    """What one script does, noted as the recorder's `script`, `names` and `tables`."""

    def __init__(self, recorder: Recorder, home: Path, counts: Path) -> None:
        """`home`: the folder of the script's own files; `counts`: where the kernel counts system calls."""
        self._recorder, self._home, self._counts, self._pid = recorder, str(home) + os.sep, counts, os.getpid()
        self._calls: dict[tuple[str, str], tuple[str, int]] = {}
        self._counts_of: Counter[tuple[str, str]] = Counter()
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._events_of: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._own_lost: set[str] = set()
        self._rings: dict[str, Ring] = {}
        self._files, self._noted = 0, 0.0
        self._names: dict[str, str] = {}
        self._tables: dict[str, dict[str, Any]] = {}
        self._events: dict[str, type[ctypes.Structure] | None] = {}
        self._now: tuple[str, int, int] | None = None
        """The event that a callback was given: its table, its address, its bytes."""
        self._attached_s, self._baselines, self._nested, self._over = 0.0, 0, 0, False

    def install(self) -> None:
        """Stand beside BCC's functions, and where the process can end."""
        lib.bcc_func_load = self._loading(lib.bcc_func_load)
        lib.bpf_module_create_c_from_string = self._creating(lib.bpf_module_create_c_from_string)
        for name in ATTACHING:
            setattr(BPF, name, self._attaching(getattr(BPF, name)))
        for name in READING:
            setattr(BPF, name, self._counting(getattr(BPF, name)))
        BPF.cleanup = self._cleaning(BPF.cleanup)  # type: ignore[method-assign]
        tables.PerfEventArray.open_perf_buffer = self._opening_perf(tables.PerfEventArray.open_perf_buffer)
        tables.RingBuf.open_ring_buffer = self._opening_ring(tables.RingBuf.open_ring_buffer)
        tables.TableBase.__getitem__ = self._looking_up(tables.TableBase.__getitem__)
        self._stand_beside_ctypes()
        sys.addaudithook(self._audit)
        os._exit = self._leaving(os._exit)  # type: ignore[assignment]
        for name in ENDING:
            number = getattr(signal, name)
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._signalled)

    def look(self, last: bool = False) -> None:
        """Have the process looked at as it is; with `last` never again."""
        if self._over or os.getpid() != self._pid:
            return
        self._over = last
        self.note()
        os.kill(self._pid, signal.SIGSTOP)

    def note(self) -> None:
        """Write down what is known."""
        self._noted = time.monotonic()
        if os.getpid() == self._pid:
            calls = [
                Called(what=one[0], name=one[1], path=path, line=line, count=self._counts_of[one])
                for one, (path, line) in self._calls.items()
            ]
            arrived = [
                Arrived(
                    table=name,
                    events=self._events_of[name],
                    lost=self._lost[name],
                    own_lost=name in self._own_lost,
                    full=self._rings[name].full if name in self._rings else 0,
                )
                for name in self._events
            ]
            known = {"calls": calls, "layouts": list(self._layouts.values()), "arrived": arrived}
            self._recorder.note(
                script={name: codec.plain(rows) for name, rows in known.items()}, names=self._names,
                tables=self._tables, attached_s=self._attached_s, attaching=self._nested > 0, opened=self._files,
                over=self._over,
            )  # fmt: skip

    def _note_what_came(self) -> None:
        if time.monotonic() - self._noted > NOTED_S:
            self.note()

    # where the process can end

    def _signalled(self, number: int, frame: Any) -> None:
        self.look(last=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _leaving(self, leave: Callable[[int], Any]) -> Callable[[int], Any]:
        def left(status: int) -> Any:
            self.look(last=True)
            return leave(status)

        return left

    def _cleaning(self, clean: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(clean)
        def cleaned(bpf: BPF) -> Any:
            if bpf.funcs and not self._over:
                self._count("cleanup")
                self.look()
            return clean(bpf)

        return cleaned

    # what it calls

    def _site(self) -> tuple[str, int]:
        """File and line of the innermost call in the script's own files."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._home):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return "", 0

    def _count(self, what: str, name: str = "") -> None:
        self._counts_of[what, name] += 1
        if (what, name) not in self._calls and len(self._calls) < CALLS_MAX:
            self._calls[what, name] = self._site()
            self.note()

    def _counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **named: Any) -> Any:
            self._count(function.__name__)
            for ring in self._rings.values():
                ring.look()
            return function(*args, **named)

        return called

    def _attaching(self, attach: Callable[..., Any]) -> Callable[..., Any]:
        shape = inspect.signature(attach)

        @functools.wraps(attach)
        def attached(*args: Any, **named: Any) -> Any:
            self._nested += 1
            if self._nested == 1:
                self.note()
            try:
                found = attach(*args, **named)
            finally:
                self._nested -= 1
                if not self._nested:
                    self.note()
            if not self._nested:
                self._attached_s = time.process_time()
                if self._baselines < BASELINES_MAX and os.getpid() == self._pid:
                    self._baselines += 1
                    with contextlib.suppress(OSError):
                        (self._recorder.folder / "calls-before").write_bytes(self._counts.read_bytes())
                function = shape.bind(*args, **named).arguments.get("fn_name", b"")
                self._count(attach.__name__, os.fsdecode(function))
                self.note()
            return found

        return attached

    def _loading(self, load: Callable[..., int]) -> Callable[..., int]:
        def loaded(*args: Any) -> int:
            fd = load(*args)
            number = _number(fd, "prog_id")
            if number:
                self._names[number] = args[2].decode()
                self.note()
            return fd

        return loaded

    def _audit(self, event: str, args: Any) -> None:
        """Count the files that the script itself opens once it has attached: other calls the kernel counts."""
        if event != "open" or not self._attached_s:
            return
        frame: Any = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(self._home):
            if frame.f_code.co_filename.startswith(NOT_ITS_OWN):
                return
            frame = frame.f_back
        self._files += frame is not None

    # what comes to it

    def _creating(self, create: Callable[..., Any]) -> Callable[..., Any]:
        def created(*args: Any) -> Any:
            module = create(*args)
            if module:
                with contextlib.suppress(Exception):  # a table that BCC cannot describe is not described
                    self._tables |= dict(_tables(module))
                self.note()
            return module

        return created

    def _opening_perf(self, open_buffer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(open_buffer)
        def opened(table: Any, callback: Any, page_cnt: int = 8, lost_cb: Any = None, wakeup_events: int = 1) -> Any:
            name = self._opened(table, "open_perf_buffer", wakeup_events)
            if lost_cb is not None:
                self._own_lost.add(name)

            def lost(number: int) -> None:
                self._lost[name] += number
                self._note_what_came()
                if lost_cb is not None:
                    lost_cb(number)
                else:  # libbcc's own words, perf_reader.c
                    print(f"Possibly lost {number} samples", file=sys.stderr)

            return open_buffer(table, self._given(name, callback), page_cnt, lost, wakeup_events)

        return opened

    def _opening_ring(self, open_buffer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(open_buffer)
        def opened(table: Any, callback: Any, ctx: Any = None) -> Any:
            name = self._opened(table, "open_ring_buffer", 1)
            with contextlib.suppress(Exception):  # a ring that cannot be mapped is not watched
                self._rings[name] = Ring(table.map_fd, self._events[name])
            return open_buffer(table, self._given(name, callback), ctx)

        return opened

    def _opened(self, table: Any, what: str, wakeup_events: int) -> str:
        name = os.fsdecode(table._name)
        self._events[name] = _event_class(table)
        self._count(what, name)
        if wakeup_events > 1:
            self._count("wakeup_events", name)
        return name

    def _given(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        def given(first: Any, data: int, size: int) -> Any:
            self._events_of[name] += 1
            self._note_what_came()
            if name in self._rings:
                self._rings[name].look(size)
            before, self._now = self._now, (name, data, size)
            try:
                return callback(first, data, size)
            finally:
                self._now = before

        return given

    # how it reads what comes

    def _stand_beside_ctypes(self) -> None:
        cast: Any = ctypes.cast
        copy: Any = ctypes.memmove
        unpack: Any = struct.unpack

        def casts(what: Any, kind: Any) -> Any:
            if self._is_event(what):
                self._read_by(getattr(kind, "_type_", None))
            return cast(what, kind)

        def copies(to: Any, what: Any, size: int) -> Any:
            if self._is_event(what):
                self._read_by(type(getattr(to, "_obj", to)))
            return copy(to, what, size)

        class Watched(ctypes.Structure):
            """ctypes.Structure, its ways from memory watched."""

            @classmethod
            def from_address(cls, address: int) -> Any:
                if self._is_event(address):
                    self._read_by(cls)
                return type(cls).from_address(cls, address)

            @classmethod
            def from_buffer_copy(cls, source: Any, offset: int = 0) -> Any:
                if not offset and self._is_copy(source):
                    self._read_by(cls)
                return type(cls).from_buffer_copy(cls, source, offset)

        def unpacks(form: Any, data: Any) -> Any:
            if self._is_copy(data):
                self._unpacked_by(form)
            return unpack(form, data)

        Watched.__name__ = Watched.__qualname__ = "Structure"
        ctypes.cast, ctypes.memmove, struct.unpack = casts, copies, unpacks  # type: ignore[assignment]
        ctypes.Structure = Watched  # type: ignore[misc]

    def _is_event(self, what: Any) -> bool:
        return (
            self._now is not None and (what if isinstance(what, int) else getattr(what, "value", None)) == self._now[1]
        )

    def _is_copy(self, data: Any) -> bool:
        """Whether `data` is the event's bytes, or its first ones."""
        if self._now is None or not isinstance(data, bytes | bytearray) or not 0 < len(data) <= self._now[2]:
            return False
        return ctypes.string_at(self._now[1], len(data)) == bytes(data)

    def _read_by(self, cls: Any) -> None:
        """Note that the event was read as a structure of the script's own."""
        if self._now is None or not isinstance(cls, type) or not issubclass(cls, ctypes.Structure):
            return
        name, _, size = self._now
        real = self._events.get(name)
        if cls is real or getattr(cls, "__module__", "") == "bcc.table":
            return
        self._lay(name, "event", cls.__name__, list(_parts(cls)), ctypes.sizeof(cls), real, size)

    def _unpacked_by(self, form: Any) -> None:
        name, _, size = self._now or ("", 0, 0)
        text = form.decode() if isinstance(form, bytes) else str(form)
        with contextlib.suppress(struct.error):
            self._lay(name, "event", text, list(_items(text)), struct.calcsize(text), self._events.get(name), size)

    def _lay(self, name: str, what: Any, reader: str, read: list[Part], read_size: int, real: Any, size: int) -> None:
        """Note a structure as C has it and as it was read; C's fields only where their size is that of what came."""
        key = (name, what, reader)
        if key in self._layouts or len(self._layouts) >= LAYOUTS_MAX:
            return
        known = real is not None and _fits(ctypes.sizeof(real), size)
        self._layouts[key] = Layout(
            table=name, what=what, reader=reader, size=ctypes.sizeof(real) if known else size, read_size=read_size,
            fields=tuple(_parts(real)) if known else (), read=tuple(read),
        )  # fmt: skip
        self.note()

    def _looking_up(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        def looked_up(table: Any, key: Any) -> Any:
            real = getattr(table, "Key", None)
            if isinstance(key, ctypes.Structure) and type(key) is not real and real is not None:
                name, cls = os.fsdecode(table._name or b""), type(key)
                self._lay(name, "key", cls.__name__, list(_parts(cls)), ctypes.sizeof(cls), real, ctypes.sizeof(real))
            return look_up(table, key)

        return looked_up


class Ring:
    """The positions in one ring buffer, looked at each time that it is read."""

    def __init__(self, fd: int, event: type[ctypes.Structure] | None) -> None:
        """`event`: its events' structure, if that is known; what came tells a size that is not."""
        self._size, self._event = int(_number(fd, "max_entries")), ctypes.sizeof(event) if event else 0
        self._pages = [
            mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=page * mmap.PAGESIZE)
            for page in range(2)
        ]
        self.full = 0
        """How often there was no room for another event."""

    def look(self, came: int = 0) -> None:
        """Whether it is full now; `came`: bytes of the event that is being read.

        Each event has a header of 8 bytes and is filled up to 8 (ringbuf.c, __bpf_ringbuf_reserve(), Linux 6.12).
        """
        self._event = max(self._event, came)
        read, written = (int.from_bytes(page[:8], "little") for page in self._pages)
        self.full += self._size - (written - read) < 8 + -(-self._event // 8) * 8


def _number(fd: int, name: str) -> str:
    """What /proc says of an open file under `name`; empty where it says nothing."""
    return objects.fdinfo(os.getpid(), fd).get(name, "") if fd >= 0 else ""


def _tables(module: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Number of each of a module's maps → its whole name, and which bytes of its key belong to a field."""
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    for number in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, number)
        if name and (found := _number(lib.bpf_table_fd(module, name), "map_id")):
            yield found, {"name": name.decode(), "used": _used(lib.bpf_table_key_desc(module, name))}


def _used(description: bytes | None) -> list[int]:
    """The bytes of a key that belong to a field; empty where all do, or nothing is known."""
    try:
        cls = BPF._decode_table_type(json.loads(description or b""))  # type: ignore[attr-defined]
    except Exception:
        return []
    if not isinstance(cls, type) or not issubclass(cls, ctypes.Structure):
        return []
    found = sorted(set(_covered(cls, 0)))
    return found if len(found) < ctypes.sizeof(cls) else []


def _covered(cls: Any, start: int) -> Iterator[int]:
    if issubclass(cls, ctypes.Structure):
        for name, kind, *_ in cls._fields_:
            if not name.startswith("__pad"):
                yield from _covered(kind, start + getattr(cls, name).offset)
    else:
        yield from range(start, start + ctypes.sizeof(cls))


def _parts(cls: Any) -> Iterator[Part]:
    """The fields of a ctypes class, BCC's fillers left out."""
    for base in reversed(cls.__mro__):
        for name, kind, *_ in base.__dict__.get("_fields_", ()):
            if not name.startswith("__pad"):
                yield Part(name=name, offset=getattr(cls, name).offset, size=ctypes.sizeof(kind))


def _items(form: str) -> Iterator[Part]:
    """The values that struct takes out by a format, as fields without names."""
    order = form[:1] if form[:1] in tuple("@=<>!") else ""
    before = order
    for count, kind in ITEM.findall(form):
        single = [count + kind] if kind in "spx" else [kind] * int(count or 1)
        for one in single:
            end = struct.calcsize(before + one)
            size = struct.calcsize(order + one)
            if kind != "x":
                yield Part(name="", offset=end - size, size=size)
            before += one


def _fits(size: int, came: int) -> bool:
    """Whether what came is a structure of that size: perf fills a sample and its length up to 8 bytes."""
    return came in (size, -(-(size + 4) // 8) * 8 - 4)


def _event_class(table: Any) -> type[ctypes.Structure] | None:
    """What BCC takes for the structure of a buffer's events; None where it does not know."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found: type[ctypes.Structure] = tables._get_event_class(table)
    except (Exception, SystemExit):
        return None
    return found if ctypes.sizeof(found) else None
