"""KVM where a real boot proves it, software emulation (TCG) elsewhere; the verdict is remembered.

/dev/kvm can exist, open and answer its version while an ordinary kernel hangs in it forever (nested virtualisation that
expects a paravirtual guest). So the only check is a boot with a deadline.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import GuestLost
from harness.lab import qemu
from harness.lab.image import cache, initramfs
from harness.lab.image.architecture import own
from harness.lab.image.disk import Disk
from harness.lab.machine import Machine
from harness.protocol.messages import Ready

DEVICE = Path("/dev/kvm")
PROOF_DEADLINE_S = 20
"""A guest boots under KVM in about two seconds; ten times that is a hang."""


@dataclass(frozen=True)
class Choice:
    """An accelerator and why it was taken; `given` is what the choice rests on."""

    name: str
    reason: str
    given: str


def remembered() -> Choice | None:
    """The last choice, unless the host has changed since, or another user could have made it."""
    if not cache.is_ours(_memory()) or not cache.is_ours(cache.root()):
        return None
    try:
        choice = Choice(**json.loads(_memory().read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return choice if choice.given == _given() and choice.name in own().cpu_models else None


def choose(disk: Disk, say: Callable[[str], None]) -> Choice:
    """The remembered choice, or a new one by a real boot; remembered for the next time."""
    choice = remembered()
    if choice is None:
        choice = _decide(disk, say)
        remember(choice)
        say(f"{choice.name}: {choice.reason}")
    return choice


def remember(choice: Choice) -> None:
    """Keep `choice` until the host changes."""
    with tempfile.NamedTemporaryFile("w", dir=cache.home(), prefix=".accelerator-", delete=False) as file:
        file.write(json.dumps(asdict(choice)) + "\n")
    os.replace(file.name, _memory())


def forget() -> None:
    """Decide again at the next build."""
    _memory().unlink(missing_ok=True)


def host_cpu() -> str:
    """The processor's name; a guest saved with `-cpu host` fits this model alone."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "flags")):
            return line
    return platform.machine()


def _decide(disk: Disk, say: Callable[[str], None]) -> Choice:
    if platform.machine() != own().name:
        return Choice("tcg", f"KVM cannot run a guest of {own().name} on {platform.machine()}", _given())
    if not DEVICE.exists():
        return Choice("tcg", f"there is no {DEVICE} here", _given())
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Choice("tcg", f"{DEVICE} is not open to this user (group kvm)", _given())
    say(f"trying KVM (at most {PROOF_DEADLINE_S} s)")
    with tempfile.TemporaryDirectory() as directory:
        initrd = Path(directory) / "initrd"
        initrd.write_bytes(initramfs.archive(initramfs.files(disk)))
        try:
            with Machine(disk, initrd, "kvm") as machine:
                machine.channel.expect(Ready, PROOF_DEADLINE_S)
        except GuestLost as lost:
            return Choice("tcg", f"a kernel does not start in KVM here ({lost})", _given())
    return Choice("kvm", "a kernel starts in KVM here", _given())


def _given() -> str:
    access = os.access(DEVICE, os.R_OK | os.W_OK)
    return f"{platform.release()} {qemu.find().version} kvm={DEVICE.exists()},{access}"


def _memory() -> Path:
    return cache.root() / "accelerator.json"
