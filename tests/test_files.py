"""A file that is odd is a sentence: never a wait, never a traceback, never a byte of another file."""

import errno
import os
import socket

import pytest

from harness.course import files
from harness.errors import UsageError

pytestmark = pytest.mark.timeout(20)  # a read that blocks ends as a failure


def fifo(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


ODD = {
    "a link to a file": (lambda path: path.symlink_to("/etc/hostname"), "is a link"),
    "a link to nowhere": (lambda path: path.symlink_to("/nowhere"), "is a link"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "a FIFO": (fifo, "is a FIFO"),
    "a socket": (a_socket, "is a socket"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "nothing": (lambda path: None, "does not exist"),
    "too large": (lambda path: path.write_bytes(bytes(101)), "is larger than 100 bytes"),
    "without an end": (lambda path: path.write_bytes(b"") or os.truncate(path, 1 << 33), "is larger than 100 bytes"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_a_sentence(tmp_path, kind):
    make, said = ODD[kind]
    path = tmp_path / "loader.py"
    make(path)
    with pytest.raises(UsageError) as caught:
        files.read(path, 100)
    assert str(caught.value).startswith(f"{path} {said}")


def test_a_device_is_refused():
    with pytest.raises(UsageError, match="/dev/zero is a device"):
        files.read(files.Path("/dev/zero"))


@pytest.mark.parametrize("kind", ["a link to a file", "a FIFO", "a folder"])
def test_a_file_that_is_replaced_meanwhile_is_refused(tmp_path, monkeypatch, kind):
    make, said = ODD[kind]
    path = tmp_path / "loader.py"
    path.write_text("x")
    before = os.lstat(path)
    path.unlink()
    make(path)
    monkeypatch.setattr(os, "lstat", lambda _: before)
    with pytest.raises(UsageError, match=said):
        files.read(path)


def test_a_file_that_says_it_is_empty_is_bounded():
    with pytest.raises(UsageError, match="is larger than 10 bytes"):
        files.read(files.Path("/proc/cpuinfo"), 10)


def test_a_file_without_permission_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "loader.py"
    path.write_text("x")

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)  # root may read any file
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        files.read(path)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, "file/below"])
def test_an_impossible_name_is_a_sentence(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        files.read(tmp_path / name)


def test_a_file_of_the_largest_size_is_read(tmp_path):
    path = tmp_path / "loader.py"
    path.write_bytes(b"\xff" + bytes(99))
    assert files.read(path, 100) == b"\xff" + bytes(99)
    assert files.read_text(path, 100)[0] == "\ufffd"


def test_a_link_to_nowhere_exists(tmp_path):
    (tmp_path / "link").symlink_to("/nowhere")
    assert files.exists(tmp_path / "link")
    assert not files.exists(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = ", "Invalid value"),
        (b"a = '\xff'", "not valid UTF-8 (byte 5)"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"b = 1", "unknown key 'b' (known: a, c)"),
        (b"a = 1\na = 2", "Cannot overwrite"),
    ],
)
def test_a_toml_file_that_is_wrong_is_named(tmp_path, content, said):
    path = tmp_path / "lesson.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        files.load_toml(path, {"c", "a"})
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_toml_file_of_known_keys_is_read(tmp_path):
    path = tmp_path / "lesson.toml"
    path.write_text("a = 'ä'\n")
    assert files.load_toml(path, frozenset("ac")) == {"a": "ä"}


def test_a_write_keeps_permissions(tmp_path):
    path = tmp_path / "loader.py"
    files.write(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    files.write(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_write_replaces_a_link(tmp_path):
    path, other = tmp_path / "loader.py", tmp_path / "other"
    other.write_text("other")
    path.symlink_to(other)
    files.write(path, b"new")
    assert (path.read_bytes(), other.read_text(), path.is_symlink()) == (b"new", "other", False)


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "loader.py").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write(tmp_path / "loader.py", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["loader.py"]
