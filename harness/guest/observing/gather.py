"""Runs a program that may fail in a child process, and puts together what is known of the failure.

`python3 -m harness.guest.observing.gather SECONDS ARGUMENTS FILE…` prints one message (Gathered, or
InternalError) on a line for each file; ARGUMENTS is a JSON list, for the scripts among them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.guest.observing import activity, objects
from harness.protocol import codec
from harness.protocol.facts import Activity, Arrived, Called, Frame, Gathered, Layout, Symbols
from harness.protocol.messages import InternalError
from harness.protocol.shorten import shortened

COMPILE_DEADLINE_S = 240
"""Seconds for compiling and loading, before those for running begin; headers can take 25, a long verification 50."""
SETUP_DEADLINE_S = 120
"""Seconds for what a script does between compiling and attaching: a long verification, a look through all symbols."""
STIRS_MIN = 2
"""Whole ones that a script has seen while it waited or was attached: one may take longer than it is watched."""
BUSY = 0.5
"""A script that uses more than this share of a processor, and has attached nothing, is still setting up."""
GRACE_S = 5
OF_WATCH = ("script", "names", "tables", "attached_s", "attaching", "opened", "over")
"""What the record holds of Watch's."""
SOURCE_BEGIN = "#if defined(BPF_LICENSE)\n"
SOURCE_END = "#include <bcc/footer.h>\n"
NOISE = re.compile(r"^(Running from kernel directory at: .*|clang -cc1 .*)\n", re.MULTILINE)
CALL = re.compile(r"^[ \t]+(\d+):\t85 10 00 00 ", re.MULTILINE)
"""Calls of a function that BCC did not load along (BPF_PSEUDO_CALL, include/uapi/linux/bpf.h, Linux 6.12)."""
DISASSEMBLY = re.compile(r"^Disassembly of function (\w+)\n((?:; .*\n|\s+\d+:\t.*\n)*)\n?", re.MULTILINE)


def of_program(
    path: Path,
    cflags: Sequence[str] = (),
    types: Mapping[str, int] | None = None,
    deadline_s: float = COMPILE_DEADLINE_S,
) -> Gathered:
    """What is known of a .bpf.c file that was loaded."""

    def work() -> None:
        from harness.guest.observing import programs

        programs.load(path, cflags, types)

    return _observe(work, path, 0, deadline_s)


def of_script(path: Path, seconds: float, arguments: Sequence[str] = ()) -> Gathered:
    """What is known of a BCC script that ran for `seconds`, while a few processes come and go beside it.

    Without its activity where the kernel cannot count what it does.
    """

    def work() -> dict[str, Any]:
        sys.argv, sys.path[0] = [str(path), *arguments], str(path.parent)
        return runpy.run_path(str(path), run_name="__main__")

    with activity.Observer() if activity.observable() else contextlib.nullcontext() as observer:
        found = _observe(work, path, seconds, observer=observer)
    _detach_xdp()
    return found


def _detach_xdp() -> None:
    """A device keeps its XDP program when the script that attached it has ended."""
    from bcc import lib

    for device in Path("/sys/class/net").iterdir():
        lib.bpf_attach_xdp(device.name.encode(), -1, 0)


def _observe(
    work: Callable[[], object],
    path: Path,
    seconds: float,
    deadline_s: float = COMPILE_DEADLINE_S,
    observer: activity.Observer | None = None,
) -> Gathered:
    """What a child that does `work` shows; with an observer it is looked at before its programs are gone."""

    def look(pid: int) -> Activity | None:
        return observer.facts(pid, _record(folder), _read(folder / "calls-before")) if observer else None

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            _become(work, path, folder, watched=observer is not None)
        status, seen = _wait(pid, folder, seconds, deadline_s, look)
        if seen and seen.script:
            script = replace(seen.script, **_script(_record(folder)))
            seen = replace(seen, script=script, printed=len({*_read(folder / "output").splitlines()} - {""}))
        return Gathered(file=str(path), status=status, activity=seen, **_merge(folder))


def _become(work: Callable[[], object], path: Path, folder: Path, watched: bool) -> None:
    """The child: its output into a file, its calls of libbcc recorded. Never returns."""
    status = 1
    try:
        from harness.guest.observing.recorder import Recorder

        os.setsid()
        _forget_parents_end()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(path.parent)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        recorder = Recorder(folder)
        recorder.install()
        watch = None
        if watched:
            from harness.guest.observing.lifetime import Watch

            watch = Watch(recorder, path.parent, activity.COUNTS)
            watch.install()
        status = _run(work, recorder)
        if watch:
            _end(watch, recorder.interrupted)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _forget_parents_end() -> None:
    """Forget what the process that forked this one does at its own end, such as removing its folder."""
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def _end(watch: Any, interrupted: bool) -> None:
    """What Python does at the end of a script, after a look at what is there: wait for threads, call what is due."""
    if not interrupted:
        threading._shutdown()  # type: ignore[attr-defined]
    watch.look(last=True)
    atexit._run_exitfuncs()


def _run(work: Callable[[], object], recorder: Any) -> int:
    from harness.guest.observing.recorder import told

    try:
        recorder.kept = work()
    except KeyboardInterrupt as error:
        recorder.interrupted, recorder.kept = True, error
        return 0
    except SystemExit as end:
        recorder.kept = end
        if end.code in (None, 0):
            return 0
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        if end.__context__:
            recorder.raised(end.__context__, after=end)
        else:
            recorder.raised(end)
        return 1
    except BaseException as error:
        recorder.kept = error
        recorder.raised(error)
        print(told(error), file=sys.stderr, end="")
        return 1
    return 0


def _wait(
    pid: int, folder: Path, seconds: float, deadline_s: float, look: Callable[[int], Activity | None]
) -> tuple[int, Activity | None]:
    """Until the child ends; after its time it is interrupted, then killed. Its status, and the last look at it.

    A child that stops itself is looked at and goes on: its end is near, and what it holds will be gone.
    """
    end, asked, seen = time.monotonic() + deadline_s, False, None
    loaded, running_s, stirs, last, used_s = False, 0.0, 0, time.monotonic(), 0.0
    while True:
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done and os.WIFSTOPPED(status):
            if not asked and _is_loaded(folder):
                seen = _later(seen, look(pid))
            if not asked and _record(folder).get("over"):
                asked, end = True, time.monotonic() + SETUP_DEADLINE_S  # it ends by itself; what is left is its own
            os.kill(pid, signal.SIGCONT)
        elif done:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status), seen
        now = time.monotonic()
        if seconds and not asked:
            before_s, used_s = used_s, objects.used_s(pid)
            if not loaded and _is_loaded(folder):
                loaded, end = True, min(end, now + SETUP_DEADLINE_S + seconds)
            if _attaches(folder):
                running_s, stirs = 0.0, 0  # what it attached before is not all yet
            elif loaded and (used_s - before_s < BUSY * (now - last) or objects.attachments(pid)):
                running_s += now - last
        last = now
        if (now > end or (0 < seconds < running_s and stirs >= STIRS_MIN)) and not asked:
            seen = look(pid) if loaded else None
            asked, end = True, time.monotonic() + GRACE_S
            os.kill(pid, signal.SIGINT)
        elif asked and now > end:
            os.killpg(pid, signal.SIGKILL)
        if loaded and not asked:
            _stir()
            stirs += running_s > 0
        time.sleep(0.05)


def _later(seen: Activity | None, now: Activity | None) -> Activity | None:
    """The later of two looks at a script that comes to its end; the earlier where it has let its programs go since."""
    if now is None or (seen is not None and seen.programs and not now.programs):
        return seen
    return replace(now, script=replace(now.script, ended=True)) if now.script else now


def _is_loaded(folder: Path) -> bool:
    """Whether the child has compiled its programs, and may be asked about them."""
    record = _record(folder)
    return bool(record["stage"] == "run" and record["modules"] > 0)


def _attaches(folder: Path) -> bool:
    """Whether the child is in the midst of attaching a program."""
    return bool(_record(folder).get("attaching"))


def _record(folder: Path) -> dict[str, Any]:
    """What the child has noted so far."""
    try:
        found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        return {"stage": "run", "modules": 0, "path": "", "source": ""}
    return found


def _script(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the child has noted of what it did itself: fields of Script."""
    noted = record.get("script", {})
    return {
        name: tuple(codec.build(kind, row) for row in noted.get(name, ()))
        for name, kind in (("calls", Called), ("layouts", Layout), ("arrived", Arrived))
    }


def _stir() -> None:
    """Something to see for the program that is watched: a process, files, a sleep, a connection."""
    subprocess.run(
        ["/bin/sh", "-c", "true > /tmp/stir; cat /etc/passwd > /dev/null; rm /tmp/stir; sleep 0.01"], check=False
    )
    with contextlib.suppress(OSError), socket.socket() as client:
        client.settimeout(0.1)
        client.connect(("127.0.0.1", 9))


def _merge(folder: Path) -> dict[str, Any]:
    """What the recorder noted, with the compiler's output taken apart: fields of Gathered."""
    from harness.guest.observing import symbols
    from harness.guest.observing.recorder import LOG_KEPT

    record = {name: value for name, value in _record(folder).items() if name not in OF_WATCH}
    text, rewritten, listings = take_apart(_read(folder / f"compiler-{record['modules']}"))
    listing = listings.get(record.get("program", ""), "")
    asked = symbols.about(record["message"] + text) if record.get("exception") else None
    return record | {
        "frames": tuple(codec.build(Frame, frame) for frame in record.get("frames", ())),
        "text": shortened(text + NOISE.sub("", _read(folder / "output")), LOG_KEPT),
        "rewritten": rewritten,
        "lines": tuple(_listed(listing)),
        "calls": tuple(int(number) for number in CALL.findall(listing)),
        "symbols": asked or Symbols(),
    }


def take_apart(printed: str) -> tuple[str, str, dict[str, str]]:
    """A compile's output with BCC's debug flags: its rest, the rewritten text, each program's listing."""
    begin, end = printed.find(SOURCE_BEGIN), printed.rfind(SOURCE_END)
    rewritten = ""
    if 0 <= begin < end:
        rewritten, printed = printed[begin : end + len(SOURCE_END)], printed[:begin] + printed[end + len(SOURCE_END) :]
    return NOISE.sub("", DISASSEMBLY.sub("", printed)), rewritten, dict(DISASSEMBLY.findall(printed))


def _listed(body: str) -> Iterator[tuple[int, int]]:
    """Instruction and line of the rewritten text, for each row of a program's listing."""
    line = 0
    for row in body.splitlines():
        if row.startswith(";"):
            found = re.search(r"// Line\s+(\d+)$", row)
            line = int(found[1]) if found else line
        elif line:
            yield int(row.split(":")[0]), line


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def main() -> None:
    """One message on a line for each file named after the seconds and the arguments."""
    from harness.guest.observing import lifetime, symbols  # noqa: F401 - the children fork with them and BCC imported

    seconds, arguments = float(sys.argv[1]), json.loads(sys.argv[2])
    for name in sys.argv[3:]:
        path = Path(name)
        found: Gathered | InternalError
        try:
            found = of_script(path, seconds, arguments) if path.suffix == ".py" else of_program(path)
        except Exception:
            found = InternalError(text=traceback.format_exc())
        sys.stdout.buffer.write(codec.dump(found) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
