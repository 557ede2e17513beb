"""Built things appear whole or not at all, once, and one that was cut short is not taken."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.lab import accelerator, qemu, saved
from harness.lab.image import cache, disk
from harness.lab.image.recipe import DEFAULT

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of its own."""
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
def test_one_that_was_cut_short_is_not_taken_and_can_be_built_anew(home, damage):
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
    monkeypatch.setattr(qemu, "find", lambda: qemu.Qemu("/usr/bin/qemu", "10.0.0"))
    accelerator.remember(accelerator.Choice("tcg", "told", accelerator._given()))
    image = disk.Disk(disk.path_of(DEFAULT))
    with cache.building(image.directory) as work:
        (work / "disk.ext4").write_bytes(bytes(5000))
    facts = saved.Facts("6.12", "tcg", "told", "10.0.0", 1.0, 1.0, 1.0)
    with cache.building(saved.path_of(image, "tcg")) as work:
        (work / "state").write_bytes(bytes(5000))
        (work / "facts.json").write_text(json.dumps(asdict(facts)))
    found = saved.find()
    assert found is not None
    return found


@pytest.mark.parametrize("what", ["disk/disk.ext4", "directory/state", "directory/facts.json", "directory/sealed.json"])
@pytest.mark.parametrize("length", [100, None], ids=["truncated", "gone"])
def test_an_image_or_a_state_that_was_cut_short_is_built_anew(stored, what, length):
    path = (stored.disk.directory if what.startswith("disk/") else stored.directory) / what.split("/")[1]
    if length is None:
        path.unlink()
    else:
        os.truncate(path, min(length, path.stat().st_size - 1))
    assert saved.find() is None


def test_after_an_update_of_qemu_the_guest_is_saved_anew(stored, monkeypatch):
    monkeypatch.setattr(qemu, "find", lambda: qemu.Qemu("/usr/bin/qemu", "10.1.0"))
    assert saved.find() is None


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


def test_a_saved_guest_is_bound_to_its_disk_its_qemu_and_its_accelerator(home, monkeypatch):
    image = disk.Disk(disk.path_of(DEFAULT))
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


def test_a_verdict_on_kvm_is_remembered_until_the_host_changes(home, monkeypatch):
    home.mkdir(exist_ok=True)
    booted = []

    def decide(image, say):
        booted.append(image)
        return accelerator.Choice("tcg", "a kernel does not start", accelerator._given())

    monkeypatch.setattr(accelerator, "_decide", decide)
    said = []
    assert accelerator.choose(None, said.append).name == "tcg"
    assert accelerator.choose(None, said.append).name == "tcg"
    assert (len(booted), said) == (1, ["tcg: a kernel does not start"])
    monkeypatch.setattr(accelerator, "_given", lambda: "another kernel")
    accelerator.choose(None, said.append)
    assert len(booted) == 2
