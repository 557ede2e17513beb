"""`workbook explain` against what is known: faulty programs, correct ones that look suspicious, logs."""

from collections import Counter

import pytest
import recorded
import scored
from scored import CORPUS, EXPECTED, several

from harness.explain.evidence import of_log
from harness.explain.explanation import explain
from harness.lab.image import target

TOKENS_MIN = ORIGINS_MIN = 0.95
"""Of the recorded programs that have one."""


def path_of(entry):
    return CORPUS / entry["file"]


def from_the_lab(entries):
    """What is said of all these programs, by file: one guest for them all."""
    found = zip(entries, recorded.gathered([*map(path_of, entries)]), strict=True)
    return {entry["file"]: recorded.said(one, path_of(entry)) for entry, one in found}


def from_evidence(entries):
    """The same from what the lab gathered earlier."""
    return {entry["file"]: recorded.recall(path_of(entry), entry.get("kind", "explain")) for entry in entries}


def here(entries):
    """The entries as they are due on the kernel that is asked: a helper can be allowed on a newer one."""
    kernel = target.chosen().kernel.name
    return [entry | {"rule": entry.get("on", {}).get(kernel, entry["rule"])} for entry in entries]


def wrong(entries, said):
    """The files whose rule is none of those expected, with the rule that was said."""
    rules = {entry["file"]: said[entry["file"]].rule or said[entry["file"]].kind for entry in entries}
    known = {entry["file"]: several(entry["rule"]) for entry in entries}
    return {file: rule for file, rule in rules.items() if rule not in known[file]}


PROGRAMS = EXPECTED["program"]
REFERENCES = [{"file": str(path), "rule": "ok", "kind": "solutions"} for path in recorded.files_of("solutions")]


@pytest.mark.guest
def test_a_few_programs_are_explained_in_the_lab():
    """What the lab gathers changes with the lab; `make soak` asks it about every program."""
    paths = recorded.drawn([path_of(entry) for entry in PROGRAMS if entry["file"].endswith(".c")], "explain", 4)
    examine(here(entry for entry in PROGRAMS if path_of(entry) in paths), from_the_lab)


@pytest.mark.guest
@pytest.mark.long
@pytest.mark.timeout(2400)
def test_every_program_is_explained_in_the_lab():
    examine(here([*PROGRAMS, *REFERENCES]), from_the_lab)


def test_every_recorded_fault_is_named_and_no_right_program():
    entries = [*PROGRAMS, *REFERENCES]
    known = [one for one in entries if recorded.kept(path_of(one), one.get("kind", "explain")).exists()]
    print(f"{len(known)} of {len(entries)} were recorded")
    assert len(known) == len(entries), "PYTHONPATH=tests python tests/recorded.py explain"
    examine(known, from_evidence)


def examine(entries, ask):
    """All rules right, no correct program suspected, nine lines of ten exact; the figures are printed."""
    faulty = [entry for entry in entries if entry["rule"] != "ok"]
    correct = [entry for entry in entries if entry["rule"] == "ok"]
    said = ask(faulty + correct)

    exact = [entry for entry in faulty if scored.has_line(entry, said[entry["file"]])]
    missed = wrong(faulty, said)
    alarms = {entry["file"]: said[entry["file"]] for entry in correct if said[entry["file"]].kind != "ok"}
    print(f"recognised {len(faulty) - len(missed)} of {len(faulty)}, exact line {len(exact)} of {len(faulty)}")
    print(f"false alarms {len(alarms)} of {len(correct)}")
    for entry in faulty:
        if entry not in exact:
            answer = said[entry["file"]]
            print(f"line: {entry['file']} {entry['line']}, said {answer.path}:{answer.line}")
    assert (missed, alarms) == ({}, {})
    assert len(exact) >= 0.9 * len(faulty)


def test_advice_was_tried_in_the_lab_and_helps():
    """Each change that is advised was made in a copy, which was loaded or run; what does not help is not advised."""
    tried = recorded.tried(recorded.from_evidence)
    have = {path.name: one for path, one in tried.items() if one.helped is not None}
    done = {name: one for name, one in have.items() if one.helped or "the lab was lost" not in one.tried}
    helps = [name for name, one in done.items() if one.helped]
    print(f"{len(helps)} of {len(done)} changes that were tried help; {len(have)} have one")
    for name, one in done.items():
        if not one.helped:
            print(f"{name}: {one.tried}")
            assert one.advice == ""
    assert len(helps) >= 46
    assert len(helps) >= 0.9 * len(done)


def test_the_token_is_underlined_and_the_origin_is_shown():
    shares = scored.of_programs()
    for name, share in shares.items():
        print(f"{name}: {share}", *share.missed)
    assert {name: share.missed for name, share in shares.items() if name in ("class", "exact line")} == {
        "class": [], "exact line": [],
    }  # fmt: skip
    assert shares["token"].ratio >= TOKENS_MIN
    assert shares["origin shown"].ratio >= ORIGINS_MIN


def test_every_log_is_recognised():
    said = {entry["file"]: explain(of_log(path_of(entry).read_text(), path_of(entry))) for entry in EXPECTED["log"]}
    assert wrong(EXPECTED["log"], said) == {}


def test_the_corpus_is_as_large_as_promised():
    rules = Counter(several(entry["rule"])[0] for entry in EXPECTED["program"])
    assert rules.pop("ok") >= 20
    assert rules.total() >= 60
    assert [rule for rule, count in rules.items() if count < 2] == []


def test_every_line_to_be_blamed_is_in_its_file():
    for entry in EXPECTED["program"]:
        lines = (CORPUS / entry.get("blame", entry["file"])).read_text().splitlines()
        assert (entry["rule"] in ("ok", "nothing-loaded")) == ("line" not in entry)
        named = [*several(entry.get("line", [])), *several(entry.get("origin", []))]
        assert all(1 <= line <= len(lines) for line in named)
        blamed = [lines[line - 1] for line in several(entry.get("line", []))]
        tokens = several(entry.get("token", []))
        assert not tokens or any(token in line for token in tokens for line in blamed)
