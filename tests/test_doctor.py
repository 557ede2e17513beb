"""The doctor on machines that cannot have the lab."""

import pytest

from harness.learner import doctor


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_on_another_system_the_devcontainer_is_its_one_finding(monkeypatch, system):
    monkeypatch.setattr("platform.system", lambda: system)
    (found,) = doctor.examine([], print)
    assert (found.name, found.state) == ("system", "missing")
    assert system in found.why
    assert found.remedy == "open the devcontainer (.devcontainer)"


def test_what_is_not_installed_is_named_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(doctor.disk, "SBIN", "/nonexistent")
    monkeypatch.setattr(doctor.qemu, "find", doctor.qemu.find.__wrapped__)
    found = {finding.name: finding for finding in doctor.here()}
    for name in ("QEMU", *doctor.PROGRAMS):
        assert (found[name].state, found[name].remedy) == ("missing", "make setup"), name
