"""Built things appear whole or not at all, once, and one that was cut short is not taken."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.errors import SetupError
from harness.lab import accelerator, qemu, saved
from harness.lab.image import cache, disk
from harness.lab.image.target import default

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A separate cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache.root()


def build(target, content="x" * 1000):
    with cache.building(target) as work:
        (work / "file").write_text(content)


def test_what_was_built_is_there_and_intact(home):
    build(home / "disk-1")
    assert cache.intact(home / "disk-1")
    assert (home / "disk-1/file").read_text() == "x" * 1000


def test_a_failed_build_leaves_nothing(home):
    with pytest.raises(RuntimeError), cache.building(home / "disk-1"):
        raise RuntimeError
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("damage", ["shorter", "gone", "never sealed"])
def test_an_interrupted_build_is_not_used_and_can_be_rebuilt(home, damage):
    build(home / "disk-1")
    if damage == "shorter":
        os.truncate(home / "disk-1/file", 500)
    elif damage == "gone":
        (home / "disk-1/file").unlink()
    else:
        (home / "disk-1" / cache.SEAL).unlink()
    assert not cache.intact(home / "disk-1")
    build(home / "disk-1", "new")
    assert cache.intact(home / "disk-1")
    assert (home / "disk-1/file").read_text() == "new"


@pytest.fixture
def stored(home, monkeypatch):
    """A saved guest that was built whole, and is found."""
    monkeypatch.setattr(qemu, "find", lambda arch=None: qemu.Qemu("/usr/bin/qemu", "10.0.0"))
    accelerator.remember(accelerator.Choice("tcg", "told", accelerator.given()))
    image = disk.of(default())
    with cache.building(image.directory) as work:
        (work / "disk.ext4").write_bytes(bytes(5000))
    facts = saved.Facts("6.12", "x86_64", "tcg", "told", "10.0.0", 1.0, 1.0, 1.0)
    with cache.building(saved.path_of(image, "tcg")) as work:
        (work / "state").write_bytes(bytes(5000))
        (work / "facts.json").write_text(json.dumps(asdict(facts)))
    found = saved.find(default())
    assert found is not None
    return found


@pytest.mark.parametrize("what", ["disk/disk.ext4", "directory/state", "directory/facts.json", "directory/sealed.json"])
@pytest.mark.parametrize("length", [100, None], ids=["truncated", "gone"])
def test_an_incomplete_image_or_state_is_rebuilt(stored, what, length):
    path = (stored.disk.directory if what.startswith("disk/") else stored.directory) / what.split("/")[1]
    if length is None:
        path.unlink()
    else:
        os.truncate(path, min(length, path.stat().st_size - 1))
    assert saved.find(default()) is None


def test_after_an_update_of_qemu_the_guest_is_saved_again(stored, monkeypatch):
    monkeypatch.setattr(qemu, "find", lambda arch=None: qemu.Qemu("/usr/bin/qemu", "10.1.0"))
    assert saved.find(default()) is None


BUILDER = """
import sys, time
from pathlib import Path
from harness.lab.image import cache
target = cache.root() / "disk-1"
with cache.locked("build"):
    if not cache.intact(target):
        with cache.building(target) as work:
            (work / "file").write_text("x")
            print("building", flush=True)
            sys.stdin.read(1)
    cache.sweep(keep={target})
print("ready", flush=True)
"""


def builder():
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_two_commands_at_once_build_once():
    first = builder()
    assert first.stdout.readline() == "building\n"
    second = builder()
    assert first.communicate("x")[0] == "ready\n"
    assert second.communicate("x")[0] == "ready\n"


def test_a_build_that_was_killed_is_swept_by_the_next(home):
    first = builder()
    assert first.stdout.readline() == "building\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert len(list(home.glob(".disk-1-*"))) == 1
    assert builder().communicate("x")[0] == "building\nready\n"
    assert list(home.glob(".disk-1-*")) == []
    assert cache.intact(home / "disk-1")


def test_a_saved_guest_depends_on_disk_qemu_and_accelerator(home, monkeypatch):
    image = disk.of(default())
    build(image.directory)
    image.image.write_text("first")
    first = saved.path_of(image, "tcg")
    assert saved.path_of(image, "tcg") == first
    assert saved.path_of(image, "kvm") != first
    monkeypatch.setattr(qemu, "CPUS", qemu.CPUS + 1)
    second = saved.path_of(image, "tcg")
    assert second != first
    os.utime(image.image, ns=(1, 1))
    assert saved.path_of(image, "tcg") != second


def change_a_byte(path):
    """Change one byte; the clock that the kernel stamps files with ticks on, and the size stays."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")


def forge(path, before):
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("what", ["disk/disk.ext4", "directory/state", "directory/facts.json"])
def test_a_changed_byte_is_found_whatever_the_mtime(stored, monkeypatch, what):
    monkeypatch.setattr(cache, "SMALL", 1000)
    path = (stored.disk.directory if what.startswith("disk/") else stored.directory) / what.split("/")[1]
    before = path.stat()
    change_a_byte(path)
    forge(path, before)
    assert path.stat().st_size == before.st_size
    assert saved.find(default()) is None


def test_a_small_file_is_read_at_each_start(home, monkeypatch):
    build(home / "disk-1")
    monkeypatch.setattr(cache, "_with_times", lambda file, entry: entry)  # as if a failing disk did it
    assert cache.intact(home / "disk-1")
    change_a_byte(home / "disk-1/file")
    assert not cache.intact(home / "disk-1")


def test_a_large_file_is_read_only_when_its_times_differ(home, monkeypatch):
    monkeypatch.setattr(cache, "SMALL", 10)
    build(home / "disk-1")
    read = []
    monkeypatch.setattr(cache, "_sha256", lambda path, real=cache._sha256: read.append(path.name) or real(path))
    assert cache.intact(home / "disk-1")
    assert read == []
    os.utime(home / "disk-1/file")
    assert [cache.intact(home / "disk-1"), cache.intact(home / "disk-1")] == [True, True]
    assert read == ["file"], "sealed again with its new times"


def test_damage_without_a_write_is_found_by_the_full_check(home, monkeypatch):
    monkeypatch.setattr(cache, "SMALL", 10)
    build(home / "disk-1")
    assert cache.damaged(home / "disk-1") == []
    change_a_byte(home / "disk-1/file")
    monkeypatch.setattr(cache, "_with_times", lambda file, entry: entry)
    assert cache.intact(home / "disk-1")
    assert cache.damaged(home / "disk-1") == ["file"]
    assert cache.damaged(home / "disk-2") == [cache.SEAL]


@pytest.mark.parametrize("add", [lambda path: path.write_text("x"), lambda path: path.symlink_to("/nowhere")])
def test_a_file_that_was_added_is_found(home, add):
    build(home / "disk-1")
    add(home / "disk-1/more")
    assert not cache.intact(home / "disk-1")


@pytest.mark.parametrize("seal", ["[]", "{}", '{"file": 5}', '{"file": {}}', '{"file": 5, "a": {"size": 1}}', "\x00"])
def test_a_seal_of_another_kind_is_not_taken(home, seal):
    build(home / "disk-1")
    (home / "disk-1" / cache.SEAL).write_text(seal)
    assert not cache.intact(home / "disk-1")


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o702])
@pytest.mark.parametrize("place", [".", "disk-1", "disk-1/file", "disk-1/sealed.json"])
def test_what_others_may_write_is_refused(home, place, mode):
    build(home / "disk-1")
    (home / place).chmod(mode)
    with pytest.raises(SetupError, match="other users may write to") as caught:
        cache.intact(home / "disk-1")
    assert caught.value.remedy == f"chmod -R go-w {home}, then make lab-clean lab"


def test_no_lock_is_taken_where_others_may_write(home):
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(SetupError), cache.locked("build"):
        pass
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("place", [".", "disk-1", "disk-1/file", "disk-1/sealed.json"])
def test_what_another_user_owns_is_refused(home, monkeypatch, place):
    build(home / "disk-1")
    owner, real = os.geteuid() + 1, Path.lstat
    stat_of = {home / place: os.stat_result((*real(home / place)[:4], owner, *real(home / place)[5:]))}
    monkeypatch.setattr(Path, "lstat", lambda path: stat_of.get(path) or real(path))
    with pytest.raises(SetupError, match="belongs to another user") as caught:
        cache.intact(home / "disk-1")
    assert caught.value.remedy == "export XDG_CACHE_HOME=…"


def test_what_is_built_is_closed_to_others_under_any_umask(home):
    before = os.umask(0)
    try:
        with cache.building(home / "disk-1") as work:
            (work / "modules").mkdir()
            (work / "modules/file").write_text("x")
        accelerator.remember(accelerator.Choice("tcg", "told", "given"))
    finally:
        os.umask(before)
    assert cache.intact(home / "disk-1")
    open_to_others = [path for path in home.rglob("*") if path.stat().st_mode & 0o022]
    assert (open_to_others, home.stat().st_mode & 0o777) == ([], 0o700)


def test_a_choice_that_others_may_write_is_not_taken(stored, home):
    assert accelerator.remembered() is not None
    (home / "accelerator.json").chmod(0o666)
    assert accelerator.remembered() is None


def test_a_seal_that_was_left_half_written_is_swept(home):
    build(home / "disk-1")
    (home / ".disk-1-half").write_text("{")
    cache.sweep(keep=set())
    assert not (home / ".disk-1-half").exists()


def test_a_choice_of_an_unknown_accelerator_is_not_taken(stored):
    accelerator.remember(accelerator.Choice("xen", "told", accelerator.given()))
    assert accelerator.remembered() is None
