"""What a guest sends as artefacts: plain names of known kinds, a limited number, once each, and nothing overwritten."""

import pytest
from labs import FakeLab, said

from harness.errors import GuestLost, UsageError
from harness.learner import artefacts
from harness.protocol.frames import encode_file
from harness.protocol.messages import Fetched

END = Fetched(left_out=0)


def fetch(tmp_path, *messages):
    with FakeLab(*messages).open() as guest:
        return [path.name for path in artefacts.fetch(guest, tmp_path / "made")]


def test_files_arrive_and_keep_what_was_there(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made/a.txt").write_text("mine")
    assert fetch(tmp_path, encode_file("a.txt", b"theirs"), END) == ["a.txt"]
    assert (tmp_path / "made/a.txt").read_bytes() == b"theirs"
    assert (tmp_path / "made/a.txt.1").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "conftest.py",
        "Makefile",
        "a.html",
        "a.sh",
        ".hidden.txt",
        "../up.txt",
        "/etc/x.txt",
        "a/b.txt",
        "a\n.txt",
        "-x.txt",
    ],
)
def test_a_name_that_others_would_run_or_follow_is_passed_over(tmp_path, name):
    assert fetch(tmp_path, encode_file(name, b"x"), END) == []
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "messages",
    [
        [encode_file("a.txt", b"x"), encode_file("a.txt", b"y"), END],
        [*(encode_file(f"{number}.txt", b"") for number in range(101)), END],
        [*(encode_file(f"{number}.txt", bytes(8 << 20)) for number in range(5)), END],
        [encode_file("a.txt", b"x")],
        [b"\xff" * 40],
    ],
    ids=["twice", "too many", "too large", "no end", "nonsense"],
)
def test_what_was_not_asked_for_is_a_lost_guest(tmp_path, messages):
    with pytest.raises(GuestLost):
        fetch(tmp_path, *messages)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("where", [".", "lessons", "harness/x"])
def test_in_the_checkout_they_go_below_one_folder_only(tmp_path, where):
    with pytest.raises(UsageError, match="in the checkout"):
        artefacts.check_target(tmp_path / where, tmp_path)
    artefacts.check_target(tmp_path / ".workbook/artefacts/x", tmp_path)
    artefacts.check_target(tmp_path.parent / "elsewhere", tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        artefacts.check_target(tmp_path / "file", tmp_path / "checkout")


def test_the_bytes_of_an_artefact_are_not_read_as_messages():
    assert said(END).endswith(b'{"is":"Fetched","left_out":0}')
