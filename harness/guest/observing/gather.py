"""Runs a program that may fail in a child process, and puts together what is known of the failure.

`python3 -m harness.guest.observing.gather SECONDS ARGUMENTS FILE…` prints one message (Gathered, or
InternalError) on a line for each file; ARGUMENTS is a JSON list, for the scripts among them.
"""

from __future__ import annotations

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
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.guest.observing import activity, objects
from harness.protocol import codec
from harness.protocol.facts import Activity, Frame, Gathered, Symbols
from harness.protocol.messages import InternalError

COMPILE_DEADLINE_S = 240
"""Seconds for compiling and loading, before those for running begin; headers can take 25, a long verification 50."""
SETUP_DEADLINE_S = 120
"""Seconds for what a script does between compiling and attaching: a long verification, a look through all symbols."""
STIRS_MIN = 2
"""Whole ones that a script has seen while it waited or was attached: one may take longer than it is watched."""
BUSY = 0.5
"""A script that uses more than this share of a processor, and has attached nothing, is still setting up."""
GRACE_S = 5
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
    """What is known of a BCC script that ran for `seconds`, while a few processes come and go beside it."""

    def work() -> None:
        sys.argv, sys.path[0] = [str(path), *arguments], str(path.parent)
        runpy.run_path(str(path), run_name="__main__")

    with activity.Observer() as observer:
        found = _observe(work, path, seconds, look=observer.facts)
    _detach_xdp()
    return found


def _detach_xdp() -> None:
    """A device keeps its XDP program when the script that attached it has ended."""
    from bcc import lib

    for device in Path("/sys/class/net").iterdir():
        lib.bpf_attach_xdp(device.name.encode(), -1, 0)


def _observe(
    work: Callable[[], None],
    path: Path,
    seconds: float,
    deadline_s: float = COMPILE_DEADLINE_S,
    look: Callable[[int], Activity | None] = lambda _: None,
) -> Gathered:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            _become(work, path, folder)
        status, seen = _wait(pid, folder, seconds, deadline_s, look)
        if seen:
            seen = replace(seen, printed=len({*_read(folder / "output").splitlines()} - {""}))
        return Gathered(file=str(path), status=status, activity=seen, **_merge(folder))


def _become(work: Callable[[], None], path: Path, folder: Path) -> None:
    """The child: its output into a file, its calls of libbcc recorded. Never returns."""
    status = 1
    try:
        from harness.guest.observing.recorder import Recorder

        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(path.parent)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        recorder = Recorder(folder)
        recorder.install()
        status = _run(work, recorder)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _run(work: Callable[[], None], recorder: Any) -> int:
    from harness.guest.observing.recorder import told

    try:
        work()
    except KeyboardInterrupt:
        return 0
    except SystemExit as end:
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
        recorder.raised(error)
        print(told(error), file=sys.stderr, end="")
        return 1
    return 0


def _wait(
    pid: int, folder: Path, seconds: float, deadline_s: float, look: Callable[[int], Activity | None]
) -> tuple[int, Activity | None]:
    """Until the child ends; after its time it is interrupted, then killed. Its status, and a last look at it alive."""
    end, asked, seen = time.monotonic() + deadline_s, False, None
    loaded, running_s, stirs, last, used_s = False, 0.0, 0, time.monotonic(), 0.0
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status), seen
        now = time.monotonic()
        if seconds and not asked:
            before_s, used_s = used_s, _used_s(pid)
            if not loaded and _is_loaded(folder):
                loaded, end = True, min(end, now + SETUP_DEADLINE_S + seconds)
            if loaded and (used_s - before_s < BUSY * (now - last) or objects.attachments(pid)):
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


def _used_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    user, system = objects.stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _is_loaded(folder: Path) -> bool:
    """Whether the child has compiled its programs, and may be asked about them."""
    try:
        record = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(record["stage"] == "run" and record["modules"] > 0)


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
    from harness.guest.observing.recorder import shortened

    try:
        record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    except (OSError, ValueError):
        record = {"stage": "run", "modules": 0, "path": "", "source": ""}
    text, rewritten, listings = take_apart(_read(folder / f"compiler-{record['modules']}"))
    listing = listings.get(record.get("program", ""), "")
    asked = symbols.about(record["message"] + text) if record.get("exception") else None
    return record | {
        "frames": tuple(codec.build(Frame, frame) for frame in record.get("frames", ())),
        "text": shortened(text + NOISE.sub("", _read(folder / "output"))),
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
    import bcc  # noqa: F401 - the children fork with it imported

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
