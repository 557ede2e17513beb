"""Both devcontainer configurations: known keys, files and commands that exist, no privilege asked for.

Keys and their types are those of devContainer.base.schema.json (devcontainers/spec, commit 08c3f97).
"""

import json
import os
import re
from pathlib import Path

import pytest

from harness.cli.learn import PAGE_PORT

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".devcontainer"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
PLAIN, WITH_KVM = FOLDER / "devcontainer.json", FOLDER / "kvm/devcontainer.json"
KNOWN = {
    "name": str,
    "build": dict,
    "runArgs": list,
    "remoteUser": str,
    "hostRequirements": dict,
    "onCreateCommand": str,
    "updateContentCommand": str,
    "postStartCommand": str,
    "customizations": dict,
    "forwardPorts": list,
    "portsAttributes": dict,
}


def read(path):
    """The configuration; JSON with comment lines."""
    return json.loads(re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE))


@pytest.fixture(params=[PLAIN, WITH_KVM], ids=["plain", "kvm"])
def path(request):
    return request.param


def test_keys_and_their_types_are_known(path):
    config = read(path)
    assert {key: type(value) for key, value in config.items()} == {key: KNOWN[key] for key in config}
    assert set(config["build"]) <= {"dockerfile", "context", "target", "args", "cacheFrom"}


def test_the_image_finds_its_files(path):
    build = read(path)["build"]
    dockerfile = (path.parent / build["dockerfile"]).resolve()
    assert (path.parent / build["context"]).resolve() == ROOT
    copied = re.findall(r"^COPY (\S+) (\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert copied
    assert all((ROOT / source).is_file() for source, _ in copied)
    assert all(f"sh {target} --system" in dockerfile.read_text() for _, target in copied)


def test_its_commands_are_targets_of_make(path):
    make, *targets = read(path)["updateContentCommand"].split()
    assert make == "make"
    assert targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_plain_container_needs_no_privilege():
    config = read(PLAIN)
    assert not {"runArgs", "privileged", "capAdd", "securityOpt", "mounts"} & set(config)


def test_the_other_one_passes_the_device_and_no_more():
    plain, with_kvm = read(PLAIN), read(WITH_KVM)
    assert with_kvm["runArgs"] == ["--device=/dev/kvm"]
    differs = {key for key in with_kvm if with_kvm[key] != plain.get(key)}
    assert differs == {"name", "build", "runArgs", "onCreateCommand", "postStartCommand"}


def test_the_learner_is_an_ordinary_user(path):
    """Made in the first stage; what the second may do as root is one command, which opens the device."""
    config = read(path)
    plain, kvm = DOCKERFILE.split(" AS kvm\n")
    assert re.search(rf"^RUN useradd .*\b{config['remoteUser']}$", plain, re.MULTILINE)
    assert [stage.rstrip().splitlines()[-1] for stage in (plain.split("\n\n#")[0], kvm)] == ["USER learner"] * 2
    rules = re.findall(r"NOPASSWD: (.*?)'", DOCKERFILE)
    assert rules == ["/usr/bin/chgrp learner /dev/kvm"]
    for key in {"onCreateCommand", "postStartCommand"} & set(config):
        assert config[key] == f"sudo -n {rules[0].removeprefix('/usr/bin/')} || true"


def test_the_image_is_pinned():
    first, second = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"debian:trixie-\d{8}-slim@sha256:[0-9a-f]{64}", first[0])
    assert (first[1], second) == ("plain", ("plain", "kvm"))
    assert [read(path)["build"]["target"] for path in (PLAIN, WITH_KVM)] == ["plain", "kvm"]


def test_codespaces_opens_files_that_exist(path):
    config = read(path)
    assert all((ROOT / name).is_file() for name in config["customizations"]["codespaces"]["openFiles"])
    assert set(config["hostRequirements"]) == {"cpus", "memory", "storage"}
    assert all(re.fullmatch(r"\d+gb", config["hostRequirements"][key]) for key in ("memory", "storage"))


def test_the_image_can_run_the_setup_script():
    assert os.access(ROOT / "harness/setup.sh", os.R_OK)
    assert "make" in (FOLDER / "Dockerfile").read_text().split("apt-get install")[1].split("&&")[0].split()


def test_the_port_of_the_page_is_forwarded(path):
    assert read(path)["forwardPorts"] == [PAGE_PORT]
    assert set(read(path)["portsAttributes"]) == {str(PAGE_PORT)}
