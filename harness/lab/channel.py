"""The host's end of a guest's channel: the one loop that receives, with a deadline, caps and checked messages."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.errors import GuestLost, GuestStarved, HarnessFault
from harness.protocol import codec
from harness.protocol.frames import Decoder, Frame, Kind, WireError, decode_file, encode, encode_file
from harness.protocol.messages import Answer, Event, InternalError, Request, Starved, read_answer, read_event

T = TypeVar("T")
SEND_TIMEOUT_S = 60
READ_SIZE = 1 << 16
BYTES_MAX = 256 << 20
"""What one run may send: a hundred tests whose output reaches its cap on both streams, with their reports."""
FRAMES_MAX = 1 << 20
BEAT_S = 1
"""Between two looks at how long the guest had no CPU."""
TELL_S = 0.5
"""Less than that is not worth a message to the guest."""
PATIENCE = 20
"""A deadline is at most that many times as long by the clock on the wall, however busy the machine is."""


class Deadline:
    """A moment by which something must have happened; time in which the guest had no CPU does not count."""

    def __init__(self, seconds: float | None, now: Callable[[], float] = time.monotonic) -> None:
        """`seconds` from now, on the clock `now`; None for never."""
        self._now = now
        self._end: float | None = None
        self._wall = 0.0
        if seconds is not None:
            self.move(seconds)

    def left(self) -> float | None:
        """Seconds until then, 0 when it has passed; None for never. GuestStarved when it does not come."""
        if self._end is None:
            return None
        left = max(0.0, self._end - self._now())
        if left > 0 and time.monotonic() > self._wall:
            raise GuestStarved("this machine is too busy: the lab's guest had hardly any CPU")
        return left

    def move(self, seconds: float) -> None:
        """To `seconds` from now."""
        self._end = self._now() + seconds
        self._wall = time.monotonic() + PATIENCE * seconds


@dataclass(frozen=True)
class Output:
    """Bytes that the run's child printed."""

    stream: str
    """"stdout" or "stderr"."""
    data: bytes


@dataclass(frozen=True)
class File:
    """A file of the guest's; its name is what the guest says."""

    name: str
    content: bytes


Received = Answer | Event | Output | File


class Channel:
    """Messages over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._decoder = Decoder()
        self._waiting: deque[Received] = deque()
        self._bytes = self._frames = 0
        self._watch: Callable[[], float] | None = None
        self._starved_s = self._told_s = 0.0
        self._selector = selectors.PollSelector()  # epoll refuses files, and standard input can be one
        self._selector.register(connection, selectors.EVENT_READ, self._read)

    def also(self, source: int | socket.socket, read: Callable[[], object]) -> None:
        """Call `read` whenever `source` is readable while messages are received."""
        self._selector.register(source, selectors.EVENT_READ, read)

    def watch(self, starved: Callable[[], float]) -> None:
        """While messages are received, ask `starved` how many seconds the guest had no CPU since its last call."""
        self._watch = starved

    def now(self) -> float:
        """Seconds on a clock that stands still while the guest has no CPU."""
        return time.monotonic() - self._starved_s

    def deadline(self, seconds: float | None) -> Deadline:
        """`seconds` from now, on that clock."""
        return Deadline(seconds, self.now)

    def no_longer(self, source: int | socket.socket) -> None:
        """Undo `also`."""
        self._selector.unregister(source)

    def request(self, message: Request) -> None:
        """Send a request; GuestLost when the other end is gone."""
        self._send(encode(Kind.MESSAGE, codec.dump(message)))

    def enter(self, data: bytes) -> None:
        """Bytes for the child's standard input; none means its end."""
        self._send(encode(Kind.STDIN, data))

    def put(self, files: Mapping[Path, bytes]) -> None:
        """Copy files to their absolute paths in the guest."""
        for path, content in files.items():
            self._send(encode_file(str(path), content))

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_TIMEOUT_S)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise GuestLost(f"the lab's guest takes no more input: {error}") from error

    def messages(self, deadline: Deadline, *, endless: bool = False) -> Iterator[Received]:
        """What arrives, in order, until `deadline`.

        GuestLost at the end of the stream, at nonsense, and past BYTES_MAX or FRAMES_MAX, unless the run may be
        `endless`; HarnessFault where the guest half of the harness reports a fault.
        """
        beat = time.monotonic() + BEAT_S
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if isinstance(message, InternalError):
                    raise HarnessFault(message.text)
                yield message
            if not endless and (self._bytes > BYTES_MAX or self._frames > FRAMES_MAX):
                raise GuestLost("the lab sent more than one run may send")
            if self._watch and time.monotonic() >= beat:
                self._look(self._watch)
                beat = time.monotonic() + BEAT_S
            left = deadline.left()
            wait = left if self._watch is None else min(BEAT_S, BEAT_S if left is None else left)
            ready = self._selector.select(wait)
            for key, _ in ready:
                key.data()
            if left == 0 and all(key.fileobj is not self._socket for key, _ in ready):
                return  # another source, such as the console, may be readable for ever

    def _look(self, starved: Callable[[], float]) -> None:
        """Stop the clock for the time in which the guest had no CPU, and let the guest stop its own."""
        self._starved_s += starved()
        if (more := self._starved_s - self._told_s) >= TELL_S:
            self._told_s = self._starved_s
            with contextlib.suppress(GuestLost):  # what it said before it went is still to be read
                self.request(Starved(seconds=more))

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
            if not data:
                raise GuestLost("the lab's guest ended")
            self._bytes += len(data)
            frames = self._decoder.feed(data)
            self._frames += len(frames)
            self._waiting += map(_message, frames)
        except (OSError, WireError) as error:
            raise GuestLost(f"the lab's channel broke: {error}") from error

    def expect(self, kind: type[T], seconds: float) -> T:
        """The next message of that kind; others are passed over. GuestLost when it does not come in time."""
        for message in self.messages(self.deadline(seconds)):
            if isinstance(message, kind):
                return message
        raise GuestLost(f"the lab's guest did not say {kind.__name__.lower()!r} within {seconds:.0f} s")

    def unread(self, messages: Iterable[Received]) -> None:
        """Let `messages` be received again, before all others."""
        self._waiting.extendleft(reversed(list(messages)))

    def start_counting(self) -> None:
        """A run begins; what it may send is counted from here."""
        self._bytes = self._frames = 0

    def close(self) -> None:
        self._selector.close()
        self._socket.close()


def _message(frame: Frame) -> Received:
    match frame.kind:
        case Kind.MESSAGE:
            return read_answer(frame.payload)
        case Kind.EVENT:
            return read_event(frame.payload)
        case Kind.STDOUT | Kind.STDERR:
            return Output(frame.kind.name.lower(), frame.payload)
        case Kind.FILE:
            return File(*decode_file(frame.payload))
    raise WireError(f"a guest sends no {frame.kind.name}")
