"""Stands between a BCC program and libbcc, and writes down what a failure alone would not tell.

Compiler text goes to file descriptor 2 from C, LLVM's back end may end the process, and BCC's second load prints a log
without source lines (bcc 0.31, libbpf.c): so each stage is written to a file before it is entered, and refused programs
are loaded once more into a buffer of our own. Only processes that were made for explaining run under it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bcc import BPF, lib

from harness.protocol import codec
from harness.protocol.facts import Frame
from harness.protocol.shorten import shortened

PREPROCESSOR, SOURCE = 0x4, 0x8
"""Of BCC's debug flags: print the rewritten text; print which instructions belong to which of its lines."""
LOG_BYTES = 16 << 20
LOG_KEPT = 200_000
"""Characters of a verifier's log that are kept, half from each end."""
LINE_KEPT = 1000
"""Characters of a source line."""
MODULES_MAX = 9
CALLBACK_FAILED = 70
"""Exit status after an exception that a callback raised: to print it would make more events, without end."""


class Recorder:
    """What is known so far, kept in `folder`/record.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.interrupted = False
        self.kept: object = None
        """What holds the script's variables, or the frames in which it raised: Python keeps them to its end."""
        # opened now: a script may give up its rights
        self._file = os.open(folder / "record.json", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.record: dict[str, Any] = {"stage": "run", "modules": 0, "path": "", "source": ""}

    def note(self, **facts: Any) -> None:
        """Remember `facts`, on disk too."""
        self.record |= facts
        data = json.dumps(self.record).encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))

    def install(self) -> None:
        """Put the recorder between this process and libbcc."""
        self.note()
        lib.bpf_module_create_c_from_string = self._creating(lib.bpf_module_create_c_from_string)
        lib.bcc_func_load = self._loading(lib.bcc_func_load)
        BPF.__init__ = self._beginning(BPF.__init__)  # type: ignore[method-assign]
        BPF.get_table = _same_sizes(BPF.get_table)  # type: ignore[method-assign]
        sys.unraisablehook = self._unraisable
        threading.excepthook = lambda failed: self._give_up(failed.exc_value)

    def raised(self, error: BaseException, after: BaseException | None = None) -> None:
        """Note an exception with the lines it came through, innermost last, behind those of `after`, raised later."""
        rows = [row for one in (after, error) if one for row in traceback.extract_tb(one.__traceback__)]
        frames = [
            Frame(path=row.filename, line=row.lineno or 0, text=(row.line or "")[:LINE_KEPT], name=row.name)
            for row in rows
        ]
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            frames.append(Frame(path=error.filename, line=error.lineno, text=(error.text or "")[:LINE_KEPT]))
        self.note(
            exception=type(error).__name__,
            message=str(error)[:4000],
            frames=codec.plain(frames[-50:]),
            unprivileged=os.geteuid() != 0,
        )

    def _give_up(self, error: BaseException | None) -> None:
        if error is not None:
            self.raised(error)
            self.note(callback=True)
            print(told(error), file=sys.stderr, end="", flush=True)
        os._exit(CALLBACK_FAILED)

    def _unraisable(self, failed: Any) -> None:
        """ctypes hands what a callback raised to this hook (iovisor/bcc#4650); a destructor's failure is not ours."""
        if (
            failed.err_msg
            and "ctypes" in failed.err_msg
            and not isinstance(failed.exc_value, KeyboardInterrupt | SystemExit)
        ):
            self._give_up(failed.exc_value)

    def _beginning(self, init: Callable[..., None]) -> Callable[..., None]:
        def begin(bpf: BPF, src_file: Any = b"", *args: Any, **named: Any) -> None:
            path = os.fsdecode(src_file) if src_file else ""
            self.note(path=str(Path(path).absolute()) if path else "", log="", errno=0, program="")
            init(bpf, src_file, *args, **named)

        return begin

    def _creating(self, create: Callable[..., Any]) -> Callable[..., Any]:
        def created(text: bytes, debug: int, *rest: Any) -> Any:
            number = min(self.record["modules"] + 1, MODULES_MAX)
            self.note(stage="compile", modules=number, source=text.decode(errors="replace"))
            with self._aside(self.folder / f"compiler-{number}"):
                module = create(text, debug | PREPROCESSOR | SOURCE, *rest)
            if module:
                self.note(stage="run")
            return module

        return created

    def _loading(self, load: Callable[..., int]) -> Callable[..., int]:
        def loaded(*args: Any) -> int:
            fd = load(*args)
            if fd >= 0:
                return fd
            number, buffer = ctypes.get_errno(), ctypes.create_string_buffer(LOG_BYTES)
            self.note(stage="load", errno=number, program=args[2].decode(), program_type=int(args[1]))
            with self._aside(self.folder / "again"):
                second = load(*args[:7], 1, buffer, LOG_BYTES, *args[10:])
            if second >= 0:
                os.close(second)
            self.note(log=shortened(buffer.value.decode(errors="replace"), LOG_KEPT))
            ctypes.set_errno(number)
            return fd

        return loaded

    @contextmanager
    def _aside(self, path: Path) -> Iterator[None]:
        """What is printed to file descriptor 2 meanwhile goes to a file."""
        sys.stderr.flush()
        kept, file = os.dup(2), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 2)
        os.close(file)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _same_sizes(get_table: Callable[..., Any]) -> Callable[..., Any]:
    """get_table, with the check that BCC leaves out: types given by hand are as large as those of the C side."""

    def table(bpf: BPF, name: Any, keytype: Any = None, leaftype: Any = None, *rest: Any, **named: Any) -> Any:
        own = get_table(bpf, name) if keytype or leaftype else None
        for part, given in (("Key", keytype), ("Leaf", leaftype)):
            known = getattr(own, f"s{part}", None) or getattr(own, part, None)
            if given is None or known is None:
                continue
            size, real = ctypes.sizeof(given), ctypes.sizeof(known)
            if size != real:
                raise ValueError(f"{part} of {os.fsdecode(name)} has {size} bytes in Python, {real} in C")
        return get_table(bpf, name, keytype, leaftype, *rest, **named)

    return table


def told(error: BaseException) -> str:
    """The traceback of `error` as it would be printed without us."""
    whole = traceback.TracebackException.from_exception(error)
    ours = (str(Path(__file__).parents[1]), "<frozen runpy>")
    whole.stack = traceback.StackSummary.from_list([row for row in whole.stack if not row.filename.startswith(ours)])
    return "".join(whole.format())
