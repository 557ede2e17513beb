"""A running QEMU. The owner closes it; nothing outlives this process."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import GuestLost
from harness.lab import qemu
from harness.lab.channel import Channel
from harness.lab.console import Console
from harness.lab.image.disk import Disk
from harness.lab.now import Sleep, settling
from harness.lab.starved import Watch
from harness.protocol.messages import Starved
from harness.protocol.names import signal_name


class Machine:
    """One guest: booted, or restored from a saved state."""

    def __init__(
        self, disk: Disk, initrd: Path, accelerator: str, *, state: Path | None = None, monitor: bool = False
    ) -> None:
        self._console, self._errors = Console(), Console()
        with contextlib.ExitStack() as inherited:
            ours, theirs = socket.socketpair()
            inherited.callback(theirs.close)
            inherited.callback(self._console.writer.close)
            inherited.callback(self._errors.writer.close)
            self.monitor: socket.socket | None = None
            their_monitor: socket.socket | None = None
            if monitor:
                self.monitor, their_monitor = socket.socketpair()
                inherited.callback(their_monitor.close)
            saved = inherited.enter_context(state.open("rb")) if state else None
            wiring = qemu.Wiring(
                channel=theirs.fileno(),
                console=self._console.writer.fileno(),
                monitor=their_monitor.fileno() if their_monitor else None,
                incoming=saved.fileno() if saved else None,
            )
            fds = [fd for fd in (wiring.channel, wiring.console, wiring.monitor, wiring.incoming) if fd is not None]
            # A separate session, so that a Ctrl-C at the terminal reaches us and not QEMU; setpriv, so that it
            # dies with us however we end.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *qemu.argv(qemu.find(disk.arch), disk, initrd, accelerator, wiring)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors.writer.fileno(),
                pass_fds=fds,
                start_new_session=True,
            )
        self.channel = Channel(ours)
        self._starved, self._slept = Watch(self._process.pid), Sleep()
        self.channel.watch(self._beat)
        for console in (self._console, self._errors):
            self.channel.also(console.socket, self._reader(console))

    def _beat(self) -> float:
        """Seconds without a CPU since the last beat; a guest whose host has slept gets the time.

        In KVM the guest's own clock runs on meanwhile (kvmclock counts boot time: arch/x86/kvm/x86.c, Linux 6.12).
        """
        if slept := self._slept():
            with contextlib.suppress(GuestLost):  # what it said before it went is still to be read
                self.channel.request(Starved(seconds=slept))
                self.channel.request(settling())
        return self._starved()

    def _reader(self, console: Console) -> Callable[[], None]:
        """Takes what a console says; at its end, which is QEMU's, it is asked no more."""

        def read() -> None:
            if not console.read():
                self.channel.no_longer(console.socket)

        return read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GuestLost) and not error.console:
            error.console = self.last_words()
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def last_words(self) -> str:
        """The end of the console, what QEMU itself complained of, and how it ended, if it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        return "\n".join([*self._console.tail(), *self._errors.tail(), *self._ending()])

    def _ending(self) -> Iterator[str]:
        status = self._process.poll()
        if status is not None and status < 0:
            yield f"QEMU was ended by signal {-status} ({signal_name(-status)})"
        elif status is not None:
            yield f"QEMU ended by itself, with status {status}"

    def close(self) -> None:
        """End the guest at once; its disk is read-only, so nothing is lost."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.channel.close()
        if self.monitor:
            self.monitor.close()
        self._console.close()
        self._errors.close()
