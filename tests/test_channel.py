"""The host's end of the channel waits as long as it was told, and not at all when told so."""

import socket
import time

import pytest

from harness.errors import GuestLost
from harness.lab.machine import CONSOLE_TAIL, Channel, essential
from harness.protocol.frames import Kind, encode, encode_json


@pytest.fixture
def ends():
    """A channel and the socket that plays the guest."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_what_has_arrived_is_received_without_waiting(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"hello"))
    assert channel.receive(0).payload == b"hello"
    assert channel.receive(0) is None


def test_a_deadline_is_kept_while_pieces_of_a_frame_arrive(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDOUT, b"hello")[:4])
    begin = time.monotonic()
    assert channel.receive(0.1) is None
    assert 0.1 <= time.monotonic() - begin < 5


def test_another_answer_than_the_expected_one_is_passed_over(ends):
    channel, guest = ends
    guest.sendall(encode(Kind.STDERR, b"noise") + encode_json(Kind.CONTROL, {"event": "ready", "kernel": "x"}))
    assert channel.expect("ready", 1)["kernel"] == "x"


def test_the_end_of_the_stream_and_nonsense_are_a_lost_guest(ends):
    channel, guest = ends
    guest.sendall(b"\xff" * 64)
    with pytest.raises(GuestLost, match="broke"):
        channel.receive(1)
    guest.close()
    with pytest.raises(GuestLost, match="ended"):
        channel.receive(1)


def test_what_the_kernel_said_of_its_end_is_not_lost_behind_its_registers():
    panic = "[   43.9] Kernel panic - not syncing: sysrq triggered crash"
    registers = [f"[   43.9] R{number}: 0000000000000000" for number in range(CONSOLE_TAIL + 5)]
    assert essential(["[    1.0] booting", panic, *registers]) == [panic, *registers[5:]]
    assert essential([panic]) == [panic]
