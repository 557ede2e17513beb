"""`--lab host`: this machine's own kernel, as root; the same agent as in the guest, as a child on a socket."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from harness.errors import SetupError
from harness.lab.channel import Channel
from harness.lab.guest import SETTLE_DEADLINE_S, Deadlines, Guest
from harness.lab.image import initramfs
from harness.protocol.messages import Ready, Run, read_features
from harness.protocol.names import ALWAYS_NEEDED

PYTHON = "/usr/bin/python3"
"""Debian's interpreter: the one that python3-bpfcc belongs to."""
QUESTION_S = 120


def lacking() -> Mapping[str, str]:
    """Feature → why this machine's kernel or BCC does not have it, in words; each is tried."""
    if os.geteuid() != 0:
        return {"root": "programs are loaded as root"}
    if not Path(PYTHON).exists():
        return {"bcc": f"{PYTHON} is not there"}
    with _guest_code() as directory:
        done = subprocess.run(
            [PYTHON, "-m", "harness.guest.observing.features"],
            env=_environment(directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=QUESTION_S,
        )
    if done.returncode != 0:
        return {"bcc": done.stderr.strip()[-300:] or f"the question ended with status {done.returncode}"}
    return {name: why for name, why in read_features(done.stdout.encode()).lacking.items() if why}


def needed(lacks: Mapping[str, str]) -> list[str]:
    """Of what is lacking, what each lesson needs, in words, each reason once."""
    return list(dict.fromkeys(why for name, why in lacks.items() if name in ALWAYS_NEEDED))


class HostLab:
    """Runs lessons in place; SetupError where the kernel here cannot."""

    def __init__(self) -> None:
        begin = time.monotonic()
        self.on = f"Linux {platform.release()}, this machine's own"
        self.lacking = lacking()
        if why := needed(self.lacking):
            raise SetupError("this machine's own kernel does not serve as a lab: " + "; ".join(why), remedy="--lab vm")
        self.deadlines = Deadlines(time.monotonic() - begin)  # the question holds a compile

    def prepare(self) -> None:
        """Nothing to restore."""

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Nothing is begun ahead: this kernel is used by others meanwhile."""

    def close(self) -> None:
        """Nothing waits."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        ours, theirs = socket.socketpair()
        with _guest_code() as directory:
            agent = subprocess.Popen(
                [PYTHON, "-m", "harness.guest.agent.agent", "--fd", str(theirs.fileno())],
                env=_environment(directory),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            theirs.close()
            channel = Channel(ours)
            try:
                channel.expect(Ready, SETTLE_DEADLINE_S)
                yield Guest(channel)
            finally:
                channel.close()
                agent.wait()


@contextlib.contextmanager
def _guest_code() -> Iterator[Path]:
    """The guest's half of the harness in a separate folder, as in the guest."""
    with tempfile.TemporaryDirectory(prefix="workbook-") as directory:
        for path, content in initramfs.guest_code().items():
            target = Path(directory) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield Path(directory)


def _environment(directory: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
