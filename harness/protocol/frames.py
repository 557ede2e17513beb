"""Frames on the channel between host and guest: a kind, a length, a payload.

Both ends use this module. A frame is one byte of kind and four bytes of length (big-endian), then the payload.
Payloads of `CONTROL` and `REPORT` are JSON; nothing is ever unpickled.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("!BI")
MAX_PAYLOAD = 8 << 20
"""Bytes; a longer frame is a protocol error, whoever sent it."""
TAKEN = b"."
"""The answer to a report. The test process waits for it, so what it prints next cannot overtake the report."""


class Kind(enum.IntEnum):
    """What a frame carries."""

    CONTROL = 1  # JSON: requests to the guest, answers from it
    STDIN = 2  # bytes for the child; empty means end of file
    STDOUT = 3
    STDERR = 4
    REPORT = 5  # JSON: one event of a pytest run
    TAR = 6  # a piece of a tar archive; empty means it is complete


class WireError(Exception):
    """The other end sent something that is not a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, either way."""

    kind: Kind
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The payload as a JSON object; WireError if it is none."""
        try:
            value = json.loads(self.payload)
        except ValueError as error:
            raise WireError(f"not JSON: {error}") from None
        if not isinstance(value, dict):
            raise WireError("not a JSON object")
        return value


def encode(kind: Kind, payload: bytes) -> bytes:
    """A frame as bytes; WireError if the payload is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise WireError(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD}")
    return HEADER.pack(kind, len(payload)) + payload


def encode_json(kind: Kind, value: dict[str, Any]) -> bytes:
    """A frame that carries a JSON object."""
    return encode(kind, json.dumps(value).encode())


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that `data` completes; WireError at the first that is malformed."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD:
                raise WireError(f"frame of {length} bytes, at most {MAX_PAYLOAD}")
            if len(self._buffer) < HEADER.size + length:
                return
            payload = bytes(self._buffer[HEADER.size : HEADER.size + length])
            del self._buffer[: HEADER.size + length]
            try:
                yield Frame(Kind(kind), payload)
            except ValueError:
                raise WireError(f"unknown kind of frame: {kind}") from None
