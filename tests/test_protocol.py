"""Frames and messages survive the way, however it is cut; what is neither is refused in one sentence."""

import dataclasses
import json
import typing

import pytest

from harness.protocol import codec, facts, messages, names
from harness.protocol.frames import (
    FILE_MAX,
    HEADER,
    MAX_PAYLOAD,
    Decoder,
    Frame,
    Kind,
    WireError,
    decode_file,
    encode,
    encode_file,
)  # fmt: skip
from harness.protocol.messages import EVENTS, REQUESTS, Exited, Reported, Run, read_answer, read_event
from harness.protocol.visible import visible

CLASSES = sorted({*messages.REQUESTS, *messages.ANSWERS, *messages.EVENTS}, key=lambda one: one.__name__)


def test_frames_come_back_whatever_the_pieces():
    stream = encode(Kind.STDOUT, b"a" * 300) + encode(Kind.MESSAGE, b"{}") + encode_file("/x", b"")
    decoder = Decoder()
    frames = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert frames == [Frame(Kind.STDOUT, b"a" * 300), Frame(Kind.MESSAGE, b"{}"), Frame(Kind.FILE, b"/x\0")]


def test_feeding_takes_the_bytes_though_no_one_reads_the_frames():
    decoder = Decoder()
    decoder.feed(encode(Kind.STDOUT, b"first")[:4])
    decoder.feed(encode(Kind.STDOUT, b"first")[4:])
    assert decoder.feed(encode(Kind.STDOUT, b"second")) == [Frame(Kind.STDOUT, b"second")]


@pytest.mark.parametrize(
    "stream", [HEADER.pack(99, 0), HEADER.pack(Kind.EVENT, MAX_PAYLOAD + 1)], ids=["unknown kind", "too long"]
)
def test_what_is_no_frame_is_refused(stream):
    with pytest.raises(WireError):
        Decoder().feed(stream)


def test_a_file_travels_with_its_name():
    name = "/w/a\udcff.py"  # not valid UTF-8 on disk
    frame = Decoder().feed(encode_file(name, b"\0content"))[0]
    assert decode_file(frame.payload) == (name, b"\0content")


@pytest.mark.parametrize("payload", [b"", b"no name", b"\0content", b"n" * 5000 + b"\0"])
def test_a_file_without_a_name_is_refused(payload):
    with pytest.raises(WireError):
        decode_file(payload)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(WireError, match="cannot travel"):
        encode_file("/x", bytes(FILE_MAX + 1))


def example(kind):
    """A value of a type that a message's field has."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: example(hints[field.name]) for field in dataclasses.fields(kind)})
    if origin is tuple:
        return tuple(example(one) for one in parts if one is not Ellipsis)
    if origin is typing.Literal:
        return parts[-1]
    if origin is not None and str in parts:
        return {"name": example(parts[1])}
    if type(None) in parts:
        return example(parts[0])
    return {str: "text\n", int: 23, float: 0.5, bool: True}[kind]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_a_message_comes_back_as_it_was(kind):
    message = example(kind)
    assert codec.load(codec.dump(message), (kind,)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[1]", b"\xff", b"", b"[" * 100_000, b'{"is":"Run"}', b'{"is":"Exited"}',
        b'{"is":["Exited"],"status":1}',
        b'{"is":"Exited","status":true}', b'{"is":"Exited","status":"1"}', b'{"is":"Exited","status":1.5}',
        b'{"is":"Exited","status":1,"status":2}', b'{"is":"Exited","status":NaN}', b'{"is":"Exited","status":null}',
        b'{"is":"Exited","status":1' + b"0" * 5000 + b"}", b'{"is":"Exited","status":99999999999999999999}',
        b'{"is":"Exited","status":1,"more":1}', b'{"is":"Warmed","import_s":1e999,"compile_s":1}',
        b'{"is":"Warmed","import_s":Infinity,"compile_s":1}', b'{"status":1}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_in_a_sentence(data):
    with pytest.raises(WireError) as refused:
        read_answer(data)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "changed",
    [
        {"nodeid": ["a"]}, {"when": "later"}, {"when": None}, {"outcome": "bogus"}, {"wasxfail": 5},
        {"facts": {"x": 1}},
        {"facts": {"frames": [["/etc/hostname", 1, ""]]}}, {"facts": {"frames": [{"path": "/x", "line": "1"}]}},
        {"duration": "x"}, {"duration": None}, {"sections": []}, {"location": []}, {"text": "x" * (codec.TEXT_MAX + 1)},
        {"facts": {"measured": {"programs": 5, "maps": [], "lost": 0}}},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_report_is_refused(changed):
    report = Reported(nodeid="x", when="call", outcome="failed", duration=0.1)
    data = json.loads(codec.dump(report))
    assert read_event(json.dumps(data).encode()) == report
    with pytest.raises(WireError):
        read_event(json.dumps(data | changed).encode())


def test_a_request_is_no_event_and_an_event_no_request():
    run = codec.dump(Run(root="/w", code="/w", tests=(), wanted=()))
    with pytest.raises(WireError):
        codec.load(run, EVENTS)
    with pytest.raises(WireError):
        codec.load(codec.dump(Exited(status=0)), REQUESTS)


UNSEEN = {
    "\x1b]52;c;cHduZWQ=\x07": r"\x1b]52;c;cHduZWQ=\x07",
    "\x9b31m": r"\x9b31m",
    "a\u202eb": r"a\u202eb",
    "\ud800": r"\ud800",
    "\x00\x7f\r": r"\x00\x7f\x0d",
    "\U000e0041": r"\U000e0041",
    "\ufeff": r"\ufeff",
    "one\r\ntwo\tthree": "one\ntwo\tthree",
    "Grüße, 鍵, 🔑": "Grüße, 鍵, 🔑",
}


@pytest.mark.parametrize(("text", "shown"), UNSEEN.items(), ids=ascii)
def test_what_a_terminal_would_obey_is_made_visible(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize("text", [text for text in UNSEEN if visible(text) != text], ids=ascii)
def test_each_text_of_a_guest_is_made_visible(text):
    words = facts.Facts(exception=text, message=text, frames=(facts.Frame(path=text, line=1, name=text),))
    report = Reported(nodeid=text, when="call", outcome="failed", duration=0.1, text=text, facts=words)
    read = read_event(json.dumps(json.loads(codec.dump(report))).encode())
    assert isinstance(read, Reported)
    frame = read.facts.frames[0]
    seen = {read.nodeid, read.text, read.facts.exception, read.facts.message, frame.path, frame.name}
    assert seen == {visible(text)}


def test_a_real_time_signal_has_no_name_and_raises_nothing():
    assert names.signal_name(9) == "SIGKILL"
    assert names.signal_name(35) == "a signal without a name"
