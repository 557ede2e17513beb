"""KVM where its use proves it (harness.lab.proof), software emulation (TCG) elsewhere; the choice is remembered.

/dev/kvm can exist, open and answer its version while an ordinary kernel hangs in it forever (nested virtualisation that
expects a paravirtual guest).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.lab import qemu
from harness.lab.image import cache
from harness.lab.image.architecture import own

DEVICE = Path("/dev/kvm")
CPU_LINES = ("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags", "CPU implementer",
             "CPU variant", "CPU part", "CPU revision", "Features")  # fmt: skip
"""What /proc/cpuinfo says of the first CPU's kind, on x86-64 and arm64."""


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
    return choice if choice.given == given() and choice.name in own().cpu_models else None


def remember(choice: Choice) -> None:
    """Keep `choice` until the host changes."""
    with tempfile.NamedTemporaryFile("w", dir=cache.home(), prefix=".accelerator-", delete=False) as file:
        file.write(json.dumps(asdict(choice)) + "\n")
    os.replace(file.name, _memory())


def forget() -> None:
    """Decide again at the next build."""
    _memory().unlink(missing_ok=True)


def host_cpu() -> str:
    """The CPU with its features, and the kernel: a guest saved with `-cpu host` fits these alone."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    kind = [f"{name.strip()}:{value.strip()}" for name, _, value in pairs if name.strip() in CPU_LINES]
    return "\n".join([platform.machine(), platform.release(), *kind])


def hindrance() -> str | None:
    """Why KVM is not even tried for a guest of this machine's architecture; None where only the proof can show it."""
    if platform.machine() != own().name:
        return f"KVM cannot run a guest of {own().name} on {platform.machine()}"
    if not DEVICE.exists():
        return f"there is no {DEVICE} here"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} is not open to this user (group kvm)"
    return None


def given() -> str:
    """What a choice rests on: another kernel, CPU or QEMU, and KVM is tried again."""
    access = os.access(DEVICE, os.R_OK | os.W_OK)
    kind = hashlib.sha256(host_cpu().encode()).hexdigest()[:12]
    return f"{platform.release()} {kind} {qemu.find().version} kvm={DEVICE.exists()},{access}"


def _memory() -> Path:
    return cache.root() / "accelerator.json"
