"""Remembers what a test's process last gave to BCC, so that a failure can be gathered again, with all that is known.

Nothing is asked and nothing is compiled as long as all goes well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from harness.guest.observing import objects
from harness.protocol.facts import Gathered, Symbols
from harness.protocol.names import REFUSALS
from harness.protocol.shorten import shortened

TEXT_KEPT = 60_000
"""Characters of each text that go to the host with a report."""


class Capture:
    """Stands beside BPF() and load_func() in the process that runs the tests."""

    def __init__(self, deadline_s: float, compiling: Callable[[], None]) -> None:
        """`deadline_s`: seconds that a closer look at one failure may take; what was printed is there anyway.

        `compiling` is called before each program is compiled.
        """
        self._deadline_s, self._compiling = deadline_s, compiling
        self._path, self._cflags = "", ()  # type: tuple[str, tuple[str, ...]]
        self._types: dict[str, int] = {}
        self._seen: dict[object, Gathered] = {}

    def install(self) -> None:
        """Stand beside BCC's entry points, where there is BCC."""
        try:
            from bcc import BPF, lib
        except ImportError:
            return
        BPF.__init__ = self._beginning(BPF.__init__)  # type: ignore[method-assign]
        lib.bcc_func_load = self._loading(lib.bcc_func_load)

    def about(self, error: BaseException, message: str) -> tuple[Gathered | None, Symbols | None]:
        """What is known of `error`, if it is a failure of BCC's; costs another compile, once for each failure."""
        if type(error) is not Exception:
            return None, None
        if not message.startswith(REFUSALS):
            from harness.guest.observing import symbols

            return None, symbols.about(message)
        key = (self._path, self._cflags, tuple(self._types.items()), message)
        if self._path and key not in self._seen:
            from harness.guest.observing import gather

            found = gather.of_program(Path(self._path), self._cflags, dict(self._types), self._deadline_s)
            self._seen[key] = _short(found)
        return self._seen.get(key), None

    def _beginning(self, init: Callable[..., None]) -> Callable[..., None]:
        def begin(bpf: Any, src_file: Any = b"", *args: Any, **named: Any) -> None:
            __tracebackhide__ = True
            self._path = os.path.abspath(os.fsdecode(src_file)) if src_file else ""
            self._cflags = tuple(str(flag) for flag in named.get("cflags", ()))
            self._types = {}
            self._compiling()
            init(bpf, src_file, *args, **named)

        return begin

    def _loading(self, load: Callable[..., int]) -> Callable[..., int]:
        def loaded(*args: Any) -> int:
            self._types[args[2].decode()] = int(args[1])
            fd = load(*args)
            if fd >= 0 and (number := objects.fdinfo(os.getpid(), fd).get("prog_id")):
                objects.names[int(number)] = args[2].decode()
            return fd

        return loaded


def _short(found: Gathered) -> Gathered:
    texts = {one.name: getattr(found, one.name) for one in fields(found)}
    short = {name: shortened(text, TEXT_KEPT) for name, text in texts.items() if isinstance(text, str)}
    return replace(found, **short)  # type: ignore[arg-type]
