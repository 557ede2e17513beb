"""KVM is used where a guest was saved, restored and used in it; each part that fails means TCG, in one sentence.

No KVM is needed: a machine's place is taken by a socket whose other end answers as it is told.
"""

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.errors import GuestLost
from harness.lab import accelerator, now, proof, qemu, saved
from harness.lab.channel import Channel
from harness.lab.image import architecture, cache, disk, initramfs
from harness.lab.image.target import default
from harness.lab.machine import Machine
from harness.learner import doctor
from harness.protocol import codec
from harness.protocol.frames import Decoder, Kind, encode
from harness.protocol.messages import Exited, Ready, Settle, Settled, Spawn, Starved, Warm, Warmed, read_request

PARTS = ["boot", "warm up", "save", "restore", "clock", "compile", "clock again"]
MACHINE = architecture.own().name


class FakeMachine:
    """A guest that is silent at the part named `fails`; at "the time" it says an hour ago, at "its pace" it is slow."""

    fails = ""
    started = 0

    def __init__(self, image, initrd, accel, *, state=None, monitor=False):
        self.pid = os.getpid()
        ours, self._theirs = socket.socketpair()
        self.channel, self.monitor = Channel(ours), object() if monitor else None
        self._restored, self._begin = state is not None, time.time()
        if not self._restored and self.fails != "boot":
            self._say(Ready(kernel=f"{default().kernel.release}0", machine=MACHINE))
        FakeMachine.started += 1
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _say(self, message):
        self._theirs.sendall(encode(Kind.MESSAGE, codec.dump(message)))

    def _serve(self):
        decoder = Decoder()
        with contextlib.suppress(OSError):
            while data := self._theirs.recv(1 << 16):
                for frame in decoder.feed(data):
                    self._answer(read_request(frame.payload))

    def _answer(self, asked):
        match asked:
            case Warm() if self.fails != ("compile" if self._restored else "warm up"):
                if self.fails == "its pace" and self._restored:
                    time.sleep(2)
                self._say(Warmed(import_s=0.1, compile_s=0.2))
            case Settle() if self.fails != "restore":
                self._say(Settled())
            case Spawn(argv=("date", _)) if self.fails != "clock":
                said = {"the time": time.time() - 3600, "its pace": self._begin, "its words": None}
                moment = said.get(self.fails, time.time())
                self._theirs.sendall(encode(Kind.STDOUT, b"what?" if moment is None else f"{moment:.9f}\n".encode()))
                self._say(Exited(status=0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._theirs.shutdown(socket.SHUT_RDWR)
        self.channel.close()
        self._thread.join(5)
        self._theirs.close()


@pytest.fixture
def image(tmp_path, monkeypatch):
    """A disk image in a separate cache, on a machine whose /dev/kvm opens."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accelerator, "DEVICE", Path(os.devnull))
    monkeypatch.setattr(initramfs, "files", lambda image: {})
    monkeypatch.setattr(initramfs, "archive", lambda files: b"")
    monkeypatch.setattr(saved, "Machine", FakeMachine)
    monkeypatch.setattr(saved, "IN_KVM", saved.Limits(0.4, 0.4, 0.4))
    for name in ("RESTORE_S", "CLOCK_S", "COMPILE_S"):
        monkeypatch.setattr(proof, name, 0.4)
    monkeypatch.setattr(FakeMachine, "started", 0)

    async def save(monitor, target, seconds):
        if FakeMachine.fails == "save":
            raise TimeoutError
        target.write_bytes(b"state")

    monkeypatch.setattr(saved, "_save", save)
    made = disk.of(default())
    with cache.building(made.directory) as work:
        (work / "disk.ext4").write_bytes(bytes(5000))
        (work / "vmlinuz").write_bytes(b"")
    return made


def choose(image, **more):
    said = []
    with cache.locked("build"):
        choice = saved.choose(default(), image, said.append, **more)
    return choice, said


def test_kvm_that_does_it_all_is_chosen_and_its_guest_kept(image, monkeypatch):
    parts = []
    choice, said = choose(image, note=lambda part, seconds: parts.append(part))
    assert choice.name == "kvm"
    assert said[-1] == f"kvm: {saved.PROVEN}"
    assert parts == PARTS
    assert accelerator.remembered() == choice
    found = saved.find(default())
    assert (found.facts.accelerator, found.facts.accelerator_reason) == ("kvm", saved.PROVEN)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("boot", "the lab's guest did not say 'ready' within 0 s"),
        ("warm up", "did not say 'warmed'"),
        ("save", "QEMU could not save the guest"),
        ("restore", "a saved guest is not restored"),
        ("clock", "date did not end within"),
        ("its words", "a restored guest does not know the time: 'what?'"),
        ("the time", "a restored guest's clock is wrong by -3600."),
        ("its pace", "a restored guest's clock is wrong by -2."),
        ("compile", "a restored guest does not compile"),
    ],
)
def test_a_part_that_fails_means_tcg_and_is_remembered(image, monkeypatch, part, words):
    monkeypatch.setattr(FakeMachine, "fails", part)
    if part == "its pace":
        monkeypatch.setattr(proof, "COMPILE_S", 5)
    choice, said = choose(image)
    assert choice.name == "tcg"
    assert words in choice.reason
    assert said[-1] == f"tcg: {choice.reason}"
    assert "\n" not in choice.reason
    assert accelerator.remembered() == choice
    assert [path.name for path in cache.root().glob("guest-*")] == [], "a guest that failed is not kept"


def test_what_qemu_said_last_is_in_the_reason(image, monkeypatch):
    def ends(*_, **named):
        raise GuestLost("the lab's guest ended", console="SeaBIOS\nQEMU ended by itself, with status 1")

    monkeypatch.setattr(saved, "Machine", ends)
    choice, _ = choose(image)
    assert choice.reason.endswith("(the lab's guest ended: QEMU ended by itself, with status 1)")


def test_what_was_decided_is_not_tried_again(image, monkeypatch):
    monkeypatch.setattr(FakeMachine, "fails", "boot")
    choose(image)
    tried = FakeMachine.started
    assert saved.find(default()) is None
    monkeypatch.setattr(FakeMachine, "fails", "")
    monkeypatch.setattr(disk, "ensure", lambda target, say: image)
    assert saved.ensure(default(), print).facts.accelerator == "tcg"
    assert FakeMachine.started == tried + 1, "the guest in TCG alone was started"


@pytest.mark.parametrize("what", ["kernel", "CPU", "QEMU", "device"])
def test_another_host_decides_again(image, monkeypatch, what):
    choose(image)
    assert accelerator.remembered() is not None
    if what == "kernel":
        monkeypatch.setattr("platform.release", lambda: "7.3.4")
    elif what == "CPU":
        monkeypatch.setattr(accelerator, "host_cpu", lambda: "another")
    elif what == "QEMU":
        monkeypatch.setattr(qemu, "find", lambda arch=None: qemu.Qemu("/usr/bin/qemu", "10.9.9"))
    else:
        monkeypatch.setattr(accelerator, "DEVICE", Path("/nonexistent"))
    assert accelerator.remembered() is None


@pytest.mark.parametrize(("release", "cpu"), [("7.3.4", None), (None, "flags : fpu other")])
def test_a_state_of_another_cpu_or_kernel_is_not_taken(image, monkeypatch, release, cpu):
    choose(image)
    choice = accelerator.remembered()
    if release:
        monkeypatch.setattr("platform.release", lambda: release)
    else:
        monkeypatch.setattr(accelerator, "host_cpu", lambda: cpu)
    monkeypatch.setattr(accelerator, "remembered", lambda: choice)  # as if only the state were left
    assert saved.find(default()) is None


def test_the_cpu_is_known_by_its_features_and_the_kernel():
    known = accelerator.host_cpu()
    assert any(line.startswith(("flags:", "Features:")) for line in known.splitlines())
    assert not any(line.startswith(("cpu MHz", "bogomips", "processor")) for line in known.splitlines())


def test_kvm_of_another_architecture_is_not_tried(image, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    choice, said = choose(image)
    assert (choice.name, FakeMachine.started) == ("tcg", 0)
    assert choice.reason == "KVM cannot run a guest of x86_64 on riscv64"
    assert said == [f"tcg: {choice.reason}"]


@pytest.mark.parametrize("accel", ["kvm", "tcg"])
@pytest.mark.parametrize("arch", architecture.ARCHITECTURES, ids=lambda arch: arch.name)
def test_no_guest_has_a_pmu(arch, accel):
    line = qemu.argv(
        qemu.Qemu("/q", "10"), disk.Disk(Path("/i"), arch), Path("/r"), accel, qemu.Wiring(channel=3, console=4)
    )
    assert line[line.index("-cpu") + 1].endswith(",pmu=off")


def test_in_kvm_only_what_can_be_saved_is_in_the_cpu():
    model = architecture.X86_64.cpu_models["kvm"].split(",")
    assert model == ["host", "migratable=on", "vmx=off", "svm=off"]


@pytest.mark.parametrize("accel", ["kvm", "tcg"])
def test_the_installed_qemu_knows_the_cpus_properties(accel):
    """QEMU refuses a property that a CPU does not have before it looks for KVM's device."""
    name, *properties = f"{architecture.own().cpu_models[accel]},pmu=off".split(",")
    line = [
        architecture.own().program,
        "-machine",
        architecture.own().machine,
        "-nodefaults",
        "-display",
        "none",
        "-accel",
        "tcg",
    ]
    model = "max" if name == "host" else name
    plain = subprocess.run(
        [*line, "-cpu", ",".join([model, *properties]), "-S", "-monitor", "stdio"],
        input="quit\n", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert plain.returncode == 0, plain.stderr
    wrong = subprocess.run([*line, "-cpu", f"{model},nonsense=on", "-S"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode != 0


class Slept:
    """CLOCK_BOOTTIME and CLOCK_MONOTONIC of a machine that sleeps when it is told."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, which):
        return 1000.0 + (self.seconds if which == time.CLOCK_BOOTTIME else 0.0)


def test_a_machines_sleep_is_noticed_once(monkeypatch):
    slept = Slept()
    monkeypatch.setattr(now.time, "clock_gettime", slept)
    sleep = now.Sleep()
    assert sleep() == 0
    slept.seconds = 3600.0
    assert sleep() == 3600
    assert sleep() == 0


def test_a_guest_is_told_the_time_after_its_host_has_slept(monkeypatch):
    machine = Machine.__new__(Machine)
    ours, theirs = socket.socketpair()
    machine.channel = Channel(ours)
    machine._slept, machine._starved = iter([0.0, 3600.0]).__next__, lambda: 0.25
    assert machine._beat() == 0.25
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert machine._beat() == 0.25
    told = [read_request(frame.payload) for frame in Decoder().feed(theirs.recv(1 << 16))]
    assert [type(one) for one in told] == [Starved, Settle]
    assert told[0].seconds == 3600
    assert abs(told[1].time_ns - time.time_ns()) < 60e9
    theirs.close()
    machine._slept = lambda: 1.0
    assert machine._beat() == 0.25, "a guest that is gone is found where it is read"
    machine.channel.close()


def test_the_doctor_shows_each_part_of_the_proof(image, monkeypatch):
    monkeypatch.setattr(disk, "ensure", lambda target, say: image)
    found = list(doctor.kvm(lambda text: None))
    assert [one.name for one in found] == ["machine", "QEMU", *PARTS, "KVM"]
    assert {one.state for one in found} == {"ok"}
    assert found[-1].why == saved.PROVEN


def test_the_doctor_says_which_part_failed(image, monkeypatch):
    monkeypatch.setattr(disk, "ensure", lambda target, say: image)
    monkeypatch.setattr(FakeMachine, "fails", "restore")
    found = list(doctor.kvm(lambda text: None))
    assert [one.name for one in found] == ["machine", "QEMU", "boot", "warm up", "save", "KVM"]
    assert found[-1].state == "missing"
    assert "a saved guest is not restored" in found[-1].why


@pytest.mark.parametrize(
    ("device", "release", "remedy"),
    [
        ("/nonexistent", "6.12-microsoft-standard-WSL2", "nestedVirtualization=true"),
        ("/nonexistent", "6.12", "switch virtualization on in the firmware"),
        ("/nonexistent", "6.12", "open the devcontainer with /dev/kvm"),
        ("/closed", "6.12", "usermod -aG kvm"),
    ],
)
def test_the_doctor_says_how_kvm_can_be_had(image, monkeypatch, tmp_path, device, release, remedy):
    path = tmp_path / "device" if device == "/closed" else Path(device)
    if device == "/closed":
        path.write_bytes(b"")
    monkeypatch.setattr(accelerator, "DEVICE", path)
    monkeypatch.setattr("platform.release", lambda: release)
    monkeypatch.setattr(doctor, "CONTAINER", [Path("/")] if "devcontainer" in remedy else [])
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = list(doctor.kvm(lambda text: None))
    assert (found[-1].name, found[-1].state) == ("KVM", "missing")
    assert remedy in found[-1].remedy
