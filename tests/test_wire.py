"""Frames survive any cutting of the stream, and malformed ones are refused."""

import pytest

from harness.protocol.frames import HEADER, MAX_PAYLOAD, Decoder, Frame, Kind, WireError, encode, encode_json


def test_frames_come_back_whatever_the_pieces():
    stream = encode(Kind.STDOUT, b"a" * 300) + encode_json(Kind.CONTROL, {"op": "x"}) + encode(Kind.TAR, b"")
    decoder = Decoder()
    frames = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert frames == [Frame(Kind.STDOUT, b"a" * 300), Frame(Kind.CONTROL, b'{"op": "x"}'), Frame(Kind.TAR, b"")]


@pytest.mark.parametrize(
    "stream", [HEADER.pack(99, 0), HEADER.pack(Kind.REPORT, MAX_PAYLOAD + 1)], ids=["unknown kind", "too long"]
)
def test_what_is_no_frame_is_refused(stream):
    with pytest.raises(WireError):
        list(Decoder().feed(stream))


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"\xff"])
def test_a_control_frame_is_a_json_object(payload):
    with pytest.raises(WireError):
        Frame(Kind.CONTROL, payload).json()
