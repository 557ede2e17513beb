"""Frames on the channel between host and guest: a kind, a length, a payload.

Both ends use this module. A frame is one byte of kind and four bytes of length (big-endian), then the payload. Nothing
is ever unpickled, and no archive travels: a file is a frame with a name and bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

HEADER = struct.Struct("!BI")
NAME_MAX = 4096
"""Bytes of a file's name (PATH_MAX, include/uapi/linux/limits.h, Linux 6.12)."""
FILE_MAX = 8 << 20
"""Bytes of one file."""
MAX_PAYLOAD = FILE_MAX + NAME_MAX + 1
"""Bytes; a longer frame is a protocol error, whichever end sent it."""
TAKEN = b"."
"""The answer to an event. The test process waits for it, so what it prints next cannot overtake the event."""


class Kind(enum.IntEnum):
    """What a frame carries."""

    MESSAGE = 1  # JSON: a request to the guest, or its answer (harness.protocol.messages)
    STDIN = 2  # bytes for the child; empty means end of file
    STDOUT = 3
    STDERR = 4
    EVENT = 5  # JSON: one event of a pytest run, from the process that runs the learner's code
    FILE = 6  # a name, a zero byte, the content


class WireError(ValueError):
    """The other end sent something that the protocol does not know."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of the stream, either way."""

    kind: Kind
    payload: bytes


def encode(kind: Kind, payload: bytes) -> bytes:
    """A frame as bytes; WireError if the payload is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise WireError(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD}")
    return HEADER.pack(kind, len(payload)) + payload


def encode_file(name: str, content: bytes) -> bytes:
    """A file as a frame; WireError if it is too large or its name holds a zero byte."""
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > NAME_MAX or b"\0" in encoded or len(content) > FILE_MAX:
        raise WireError(f"{name!r} cannot travel: {len(content)} bytes, at most {FILE_MAX}")
    return encode(Kind.FILE, encoded + b"\0" + content)


def decode_file(payload: bytes) -> tuple[str, bytes]:
    """Name and content of a FILE frame; WireError if it has no name."""
    name, zero, content = payload.partition(b"\0")
    if not zero or not name or len(name) > NAME_MAX or len(content) > FILE_MAX:
        raise WireError("a file without a name, or too large")
    return name.decode("utf-8", "surrogateescape"), content


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that `data` completes; WireError at the first that is malformed."""
        self._buffer += data
        found: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer, start)
            if length > MAX_PAYLOAD:
                raise WireError(f"frame of {length} bytes, at most {MAX_PAYLOAD}")
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            try:
                found.append(Frame(Kind(kind), bytes(self._buffer[start + HEADER.size : end])))
            except ValueError:
                raise WireError(f"unknown kind of frame: {kind}") from None
            start = end
        del self._buffer[:start]
        return found
