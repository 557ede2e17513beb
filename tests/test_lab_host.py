"""`--lab host`: the very path that runs inside the guest, in place; shown inside a guest, a fine host for it."""

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from harness.errors import SetupError
from harness.lab import host, saved
from harness.lab.image.target import chosen
from harness.lab.virtual import VirtualLab
from harness.protocol import codec
from harness.protocol.messages import Features
from harness.run import payload

ROOT = Path(__file__).resolve().parent.parent
SITE = Path("/srv/site")
NEEDED = (
    "click", "filelock", "iniconfig", "jinja2", "markdown-it-py", "markupsafe", "mdurl", "packaging", "platformdirs",
    "pluggy", "pygments", "pytest", "pytest-timeout", "qemu.qmp", "rich", "shellingham", "typer", "typing-extensions",
)  # fmt: skip


def site_packages():
    """The workbook's own dependencies, to stand in the guest as they stand here."""
    found = {}
    for name in NEEDED:
        for file in metadata.files(name) or ():
            if ".." not in file.parts and file.suffix not in (".pyc", ".so"):
                found[SITE / str(file)] = file.read_binary()
    return found


@pytest.mark.guest
def test_the_reference_is_green_on_the_guests_own_kernel():
    lab = VirtualLab(saved.ensure(chosen(), print))
    files = site_packages() | payload.of_folder(ROOT / "harness") | payload.of_paths([ROOT / "pyproject.toml"])
    for tree in ("lessons", "solutions"):
        files |= payload.of_folder(ROOT / tree / "00-setup")
    options = "--tree solutions --lab host -v -rA"
    command = f"python3 -m pytest -p harness.pytest_side.hooks lessons/00-setup {options}"
    try:
        with lab.open() as guest:
            guest.put(files)
            environment = f"cd {ROOT} && PYTHONPATH={SITE}:{ROOT}"
            done = guest.run(["sh", "-c", f"{environment} {command}"], timeout_s=300)
    finally:
        lab.close()
    assert done.status == 0, done.out + done.err
    assert "lab host" in done.out
    assert "test_the_programs_are_in_the_kernel PASSED" in done.out


def test_a_host_that_cannot_run_lessons_is_refused_with_reasons(monkeypatch):
    monkeypatch.setattr(host, "PYTHON", "/nonexistent/python3")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(SetupError, match="does not serve as a lab: /nonexistent/python3 is not there"):
        host.HostLab()


def test_an_ordinary_user_is_shown_the_reason(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert host.needed(host.lacking()) == ["programs are loaded as root"]


def test_a_reason_is_shown_once(monkeypatch):
    answers = Features(lacking={"root": "no", "bcc": "no bcc", "compiler": "no", "btf": "", "ringbuf": "no page"})
    done = subprocess.CompletedProcess([], 0, codec.dump(answers).decode(), "")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(host.subprocess, "run", lambda *_, **__: done)
    assert host.lacking() == {"root": "no", "bcc": "no bcc", "compiler": "no", "ringbuf": "no page"}
    assert host.needed(host.lacking()) == ["no", "no bcc"]
