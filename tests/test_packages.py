"""What a guest was made of is written down, and compared with what the course was proven with."""

import pytest

from harness.lab.image import disk, packages, recipe
from harness.lab.image.target import default
from harness.learner import doctor

DEBS = ["python3-bpfcc_0.31.0+ds-6_all.deb", "libc6_2.41-12_amd64.deb", "less_668-1%3a2_amd64.deb", "lock", "partial"]
FOUND = {"less": "668-1:2", "libc6": "2.41-12", "python3-bpfcc": "0.31.0+ds-6"}


def test_a_packages_version_is_in_its_files_name():
    assert packages.of_debs(DEBS) == FOUND


def test_a_list_can_be_read_again(tmp_path):
    (tmp_path / "list").write_text(packages.text(FOUND))
    assert packages.read(tmp_path / "list") == FOUND
    assert packages.read(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"less": "669"}, []),
        ({"libc6": "2.42-1"}, ["libc6 2.42-1 (proven with 2.41-12)"]),
        ({"bpftool": "7.5"}, ["bpftool 7.5 (proven with none)"]),
    ],
)
def test_a_difference_that_matters_has_words(change, words):
    assert packages.differences(FOUND | change, FOUND) == words


def test_a_package_that_is_missing_has_words():
    assert packages.differences({}, {"libc6": "2.41-12"}) == ["libc6 is missing (proven with 2.41-12)"]


def test_a_kernel_of_another_architecture_is_the_same_kernel():
    here, proven = ({f"linux-image-6.12.118-cloud-{arch}": "6.12.118-1"} for arch in ("arm64", "amd64"))
    assert packages.differences(here, proven) == []


def test_the_packages_files_are_noted_and_removed(tmp_path):
    for name in DEBS:
        (tmp_path / name).write_bytes(b"")
    disk._note_packages(tmp_path, tmp_path / "list")
    assert packages.read(tmp_path / "list") == FOUND
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list", "lock", "partial"]


def test_an_unpacking_that_leaves_no_list_is_refused(tmp_path):
    with pytest.raises(disk.LabError, match="left no list"):
        disk._note_packages(tmp_path, tmp_path / "list")


def test_the_proven_list_holds_what_the_recipe_names():
    proven = packages.read(packages.PROVEN)
    named = {one for one in recipe.of(default()).packages if not one.startswith("linux-")}
    assert named - set(proven) == set()
    assert {name for name in proven if name.startswith("linux-image-6.12.")}


def test_the_doctor_notes_a_difference(tmp_path, monkeypatch):
    image = disk.Disk(tmp_path, default().arch)
    proven = packages.read(packages.PROVEN)
    (tmp_path / packages.LIST).write_text(packages.text(proven))
    assert doctor._packages(image).state == "ok"
    (tmp_path / packages.LIST).write_text(packages.text(proven | {"libc6": "9", "bpftool": "9"}))
    found = doctor._packages(image)
    assert found.state == "note"
    assert f"bpftool 9 (proven with {proven['bpftool']}); libc6 9 (proven with {proven['libc6']})" == found.why
