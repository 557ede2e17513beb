"""The host's end of the channel waits as long as it is asked to, believes messages alone, and keeps its caps."""

import os
import socket
import time

import pytest
from labs import said

from harness.errors import GuestLost, HarnessFault
from harness.lab import channel as channels
from harness.lab.channel import Channel, Deadline, File, Output
from harness.lab.console import KEPT, TAIL, Console, essential
from harness.protocol.frames import Kind, encode, encode_file
from harness.protocol.messages import Exited, InternalError, Ready, Settled

READY = Ready(kernel="6.12", machine="x86_64")


@pytest.fixture
def ends():
    """A channel and the socket that plays the guest."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def received(channel, seconds=0.0):
    return list(channel.messages(Deadline(seconds)))


def test_what_has_arrived_is_received_without_waiting(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"hello") + encode_file("name", b"content"))
    assert received(channel) == [Output("stdout", b"hello"), File("name", b"content")]
    assert received(channel) == []


def test_a_deadline_is_kept_while_pieces_of_a_frame_arrive(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"hello")[:4])
    begin = time.monotonic()
    assert received(channel, 0.1) == []
    assert 0.1 <= time.monotonic() - begin < 5


def test_a_deadline_can_move():
    deadline = Deadline(0)
    assert deadline.left() == 0
    deadline.move(5)
    assert 4 < deadline.left() <= 5
    assert Deadline(None).left() is None


def test_another_answer_than_the_expected_one_is_passed_over(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDERR, b"noise") + said(Settled(), READY))
    assert channel.expect(Ready, 1) == READY


def test_an_answer_that_does_not_come_is_a_lost_guest(ends):
    channel, _ = ends
    with pytest.raises(GuestLost, match="did not say 'ready' within 0 s"):
        channel.expect(Ready, 0.05)


def test_messages_can_be_received_again(ends):
    channel, guest = ends
    guest.sendall(said(READY, Settled(), Exited(status=0)))
    first = received(channel)
    channel.unread(first)
    assert received(channel) == first == [READY, Settled(), Exited(status=0)]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff" * 64, encode(Kind.EVENT, b"{"), encode(Kind.MESSAGE, b"[1]"), encode(Kind.STDIN, b"x"),
        encode(Kind.EVENT, b'{"is":"Ready","kernel":"x","machine":"y"}'), encode(Kind.FILE, b"no name"),
        encode(Kind.MESSAGE, b"[" * 100_000),
    ],
)  # fmt: skip
def test_nonsense_is_a_lost_guest(ends, nonsense):
    channel, guest = ends
    guest.sendall(nonsense)
    with pytest.raises(GuestLost, match="broke"):
        received(channel, 1)


def test_the_end_of_the_stream_is_a_lost_guest(ends):
    channel, guest = ends
    guest.close()
    with pytest.raises(GuestLost, match="ended"):
        received(channel, 1)


def test_a_fault_of_the_guests_half_is_the_harnesss(ends):
    channel, guest = ends
    guest.sendall(said(READY) + encode(Kind.MESSAGE, b'{"is":"InternalError","text":"Traceback\\nKeyError: 5\\n"}'))
    with pytest.raises(HarnessFault, match="KeyError: 5") as fault:
        received(channel, 1)
    assert fault.value.traceback == InternalError(text="Traceback\nKeyError: 5\n").text


@pytest.mark.parametrize(("bytes_max", "frames_max"), [(1000, 1 << 20), (1 << 20, 100)])
def test_a_guest_that_says_too_much_is_lost(ends, monkeypatch, bytes_max, frames_max):
    monkeypatch.setattr(channels, "BYTES_MAX", bytes_max)
    monkeypatch.setattr(channels, "FRAMES_MAX", frames_max)
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"x" * 10) * 120)
    with pytest.raises(GuestLost, match="more than one run may send"):
        received(channel, 1)


def test_what_a_terminal_shows_has_no_cap(ends, monkeypatch):
    monkeypatch.setattr(channels, "BYTES_MAX", 10)
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"x" * 10) * 120)
    assert len(list(channel.messages(Deadline(0), endless=True))) == 120


def test_another_source_is_read_while_messages_are_awaited(ends):
    channel, guest = ends
    read, write = os.pipe()
    typed = []

    def take():
        typed.append(os.read(read, 100))
        channel.no_longer(read)
        guest.sendall(said(Exited(status=0)))

    channel.also(read, take)
    os.write(write, b"keys")
    assert channel.expect(Exited, 5) == Exited(status=0)
    assert typed == [b"keys"]
    for end in (read, write):
        os.close(end)


@pytest.mark.timeout(20)
def test_another_source_without_an_end_holds_no_deadline_up(ends):
    channel, _ = ends
    with open("/dev/zero", "rb", buffering=0) as console:
        channel.also(console.fileno(), lambda: console.read(100))
        assert received(channel, 0.05) == []
        channel.no_longer(console.fileno())


def test_a_regular_file_can_be_the_other_source(ends, tmp_path):
    channel, _ = ends
    (tmp_path / "keys").write_bytes(b"keys")
    seen = []
    with (tmp_path / "keys").open("rb", buffering=0) as file:

        def take():
            seen.append(file.read())
            channel.no_longer(file.fileno())

        channel.also(file.fileno(), take)
        received(channel, 0.05)
    assert seen == [b"keys"]


def test_the_kernels_first_words_are_not_lost_among_registers():
    panic = "[   43.9] Kernel panic - not syncing: sysrq triggered crash"
    registers = [f"[   43.9] R{number}: 0000000000000000" for number in range(TAIL + 5)]
    assert essential(["[    1.0] booting", panic, *registers]) == [panic, *registers[5:]]
    assert essential([panic]) == [panic]


def test_a_console_keeps_its_end_and_shows_it_harmless():
    console = Console()
    for _ in range(40):
        console.writer.sendall(b"A" * (KEPT // 8) + b"\n")
        console.read()
    console.writer.sendall(b"\x1b]0;owned\x07last\r\n")
    assert console.tail()[-1] == r"\x1b]0;owned\x07last"
    assert sum(map(len, console.tail())) <= KEPT
    console.close()
