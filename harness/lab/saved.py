"""The saved guest: boot once, warm up, write the running machine to a file; later restore it in about a second."""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

from harness.errors import GuestLost, LabError
from harness.lab import accelerator, proof, qemu
from harness.lab.accelerator import Choice
from harness.lab.image import cache, disk, initramfs
from harness.lab.image.architecture import own
from harness.lab.image.disk import Disk
from harness.lab.image.target import Target
from harness.lab.machine import Machine
from harness.lab.starved import Watch
from harness.protocol.messages import Ready, Warm, Warmed
from harness.protocol.names import ALWAYS_NEEDED

BOOT_DEADLINE_S = 300


@dataclass(frozen=True)
class Limits:
    """Seconds that the parts of a build may take."""

    boot_s: float = BOOT_DEADLINE_S
    warm_s: float = 900
    """An emulated arm64 compiles in 11 s where x86_64 takes 3, and five times as long on a busy host."""
    save_s: float = 120


IN_KVM = Limits(boot_s=20, warm_s=60, save_s=60)
"""There a guest boots in two seconds: ten times that is a hang."""
PROVEN = "a guest was saved, restored and used in KVM here"


@dataclass(frozen=True)
class Facts:
    """What was learned when the guest was saved."""

    kernel: str
    arch: str
    accelerator: str
    accelerator_reason: str
    qemu: str
    boot_s: float
    import_s: float
    compile_s: float
    """Seconds of one bare BCC compile in the guest; deadlines are multiples of it.

    As the guest's clock has it, less the share of the warm-up for which the guest had no CPU: else a guest that was
    saved on a busy machine keeps long deadlines for ever.
    """
    lacking: Mapping[str, str] = field(default_factory=dict)
    """What this guest cannot do for a lesson, and why: each was tried in it."""


@dataclass(frozen=True)
class SavedGuest:
    """A state file in the cache, ready to restore."""

    target: Target
    directory: Path
    disk: Disk
    facts: Facts

    def restore(self) -> Machine:
        """A machine that continues where the saved one stopped; QEMU starts at once, the guest answers later."""
        cache.touch(self.directory)
        cache.touch(self.disk.directory)
        return Machine(self.disk, self.directory / "initrd", self.facts.accelerator, state=self.directory / "state")


def path_of(image: Disk, accel: str) -> Path:
    """Where the state is or will be: it fits one image, one guest code, one QEMU with this command line."""
    found = qemu.find(image.arch)
    machine = qemu.argv(found, image, Path("initrd"), accel, qemu.Wiring(channel=0, console=0))
    parts = [image.identity(), found.version, accelerator.host_cpu() if accel == "kvm" else "", *machine]
    key = hashlib.sha256(json.dumps(parts).encode())
    for name, content in initramfs.guest_code().items():
        key.update(name.encode() + b"\0" + content + b"\0")
    key.update(initramfs.script_source().encode())
    return cache.root() / f"guest-{key.hexdigest()[:12]}"


def find(target: Target) -> SavedGuest | None:
    """The saved guest of that kind that fits this machine and this checkout, if there is one."""
    image = disk.of(target)
    choice = accelerator.remembered() if target.arch == own() else emulated(target)
    if choice is None:
        return None
    if not cache.intact(image.directory) or not cache.intact(directory := path_of(image, choice.name)):
        return None
    return SavedGuest(target, directory, image, Facts(**json.loads((directory / "facts.json").read_text())))


def emulated(target: Target) -> Choice:
    """The accelerator of an architecture that is not this machine's: KVM is not even tried."""
    return Choice("tcg", f"{target.arch.name} is emulated on {platform.machine()}", "")


def ensure(target: Target, say: Callable[[str], None]) -> SavedGuest:
    """The saved guest of that kind, built if there is none; two callers at once build once."""
    if found := find(target):
        return found
    try:
        with cache.locked("build"):
            if found := find(target):
                return found
            _ensure_locked(target, say)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or cache.root()}"
        raise LabError(f"the lab cannot be written: {what}", remedy="make doctor") from error
    built = find(target)
    if built is None:
        raise LabError("the saved guest vanished while it was being built", remedy="make lab")
    return built


def _ensure_locked(target: Target, say: Callable[[str], None]) -> None:
    qemu.find(target.arch)
    image = disk.ensure(target, say)
    choice = (accelerator.remembered() or choose(target, image, say)) if target.arch == own() else emulated(target)
    directory = path_of(image, choice.name)
    if not cache.intact(directory):
        with cache.building(directory) as work:
            _build(target, image, choice, work, say)
    cache.sweep(keep={directory, image.directory})


def choose(
    target: Target, image: Disk, say: Callable[[str], None], note: proof.Note = lambda part, seconds: None
) -> Choice:
    """KVM if a guest can be saved, restored and used in it; its saved guest is then there. The choice is remembered.

    Call it under the build lock.
    """
    given = accelerator.given()
    if (why := accelerator.hindrance()) is not None:
        choice = Choice("tcg", why, given)
    else:
        try:
            _build_in_kvm(target, image, say, note)
            choice = Choice("kvm", PROVEN, given)
        except LabError as failed:
            # Of a guest that ended, QEMU's last line says why.
            said = [str(failed), *getattr(failed, "console", "").splitlines()[-1:]]
            choice = Choice("tcg", f"KVM does not do here what the lab needs ({': '.join(said)})", given)
    accelerator.remember(choice)
    say(f"{choice.name}: {choice.reason}")
    return choice


def _build_in_kvm(target: Target, image: Disk, say: Callable[[str], None], note: proof.Note) -> None:
    """Build the saved guest in KVM and use it; LabError says what KVM did not do."""
    say("trying KVM: boot, save, restore, compile")
    directory = path_of(image, "kvm")
    try:
        with cache.building(directory) as work:
            _build(target, image, Choice("kvm", PROVEN, ""), work, say, IN_KVM, note)
        proof.prove(lambda: Machine(image, directory / "initrd", "kvm", state=directory / "state"), note)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _build(
    target: Target,
    image: Disk,
    choice: Choice,
    work: Path,
    say: Callable[[str], None],
    limits: Limits = Limits(),
    note: proof.Note = lambda part, seconds: None,
) -> None:
    initrd = work / "initrd"
    initrd.write_bytes(initramfs.archive(initramfs.files(image)))
    say(f"booting the guest ({choice.name})")
    begin = time.monotonic()
    with Machine(image, initrd, choice.name, monitor=True) as machine:
        ready = machine.channel.expect(Ready, limits.boot_s)
        boot_s = time.monotonic() - begin
        note("boot", boot_s)
        if ready.machine != target.arch.name or not ready.kernel.startswith(target.kernel.release):
            raise LabError(f"the guest runs Linux {ready.kernel} on {ready.machine}, expected {target}")
        say("warming up (Python, BCC, pytest)")
        starved, warming = Watch(machine.pid), time.monotonic()
        machine.channel.request(Warm())
        warm = machine.channel.expect(Warmed, limits.warm_s)
        had_cpu = 1 - starved() / (time.monotonic() - warming)
        note("warm up", time.monotonic() - begin - boot_s)
        if why := "; ".join(dict.fromkeys(filter(None, map(warm.lacking.get, ALWAYS_NEEDED)))):
            raise LabError(f"Linux {ready.kernel} does not serve as a lab: {why}", remedy="make doctor")
        say("saving the guest")
        assert machine.monitor is not None
        try:
            saving = time.monotonic()
            asyncio.run(_save(machine.monitor, work / "state", limits.save_s))
            note("save", time.monotonic() - saving)
        except (QMPError, EOFError, TimeoutError) as error:
            raise GuestLost(f"QEMU could not save the guest: {error!r}", remedy="make doctor") from error
    facts = Facts(
        kernel=ready.kernel,
        arch=ready.machine,
        accelerator=choice.name,
        accelerator_reason=choice.reason,
        qemu=qemu.find(image.arch).version,
        boot_s=round(boot_s, 2),
        import_s=round(warm.import_s, 2),
        compile_s=round(warm.compile_s * had_cpu, 2),
        lacking={name: why for name, why in warm.lacking.items() if why},
    )
    (work / "facts.json").write_text(json.dumps(asdict(facts), indent=2) + "\n")


async def _save(monitor: socket.socket, target: Path, seconds: float) -> None:
    """Write the idle guest to `target` (QMP: migrate; QEMU 8.2 and newer know file: targets).

    The guest is not stopped first: a guest saved while stopped would be restored stopped.
    """
    client = QMPClient("lab")
    await client.connect(monitor)
    try:
        await client.execute("migrate-set-parameters", {"max-bandwidth": 0})
        await client.execute("migrate", {"uri": f"file:{target}"})
        async with asyncio.timeout(seconds):
            while True:
                state = await client.execute("query-migrate")
                assert isinstance(state, dict)
                if state["status"] == "completed":
                    return
                if state["status"] in ("failed", "cancelled"):
                    why = state.get("error-desc", state["status"])
                    raise LabError(f"QEMU could not save the guest: {why}", remedy="make doctor")
                await asyncio.sleep(0.05)
    finally:
        await client.disconnect()
