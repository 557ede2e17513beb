"""A proof that was seen to pass on the same bytes is kept; what changed, and a random tenth of the rest, runs again."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from test_author import LOADER, MUTANT, Lab, lesson, passed, said_no  # noqa: F401 - lesson is a fixture

from harness.authoring import depends, ledger, plan, prove, proving
from harness.authoring.ledger import Entry, Ledger, Place
from harness.authoring.plan import Plan
from harness.authoring.prove import Proof
from harness.course.catalog import Course
from harness.errors import UsageError
from harness.run import outcome

HERE = Place("6.12.1", "x86_64")


@pytest.fixture
def proof(lesson):  # noqa: F811 - the fixture
    """A function: all proofs of the small course, its files read again."""
    return lambda place=HERE: Proof.of(Course.load(lesson.root), Course.load(lesson.root).lessons, place)


@pytest.fixture
def run(monkeypatch):
    """A function: run a plan in a lab that answers so; what ran."""

    def do(proof, chosen, lab=None):
        lab = lab or Lab(stub=None)
        monkeypatch.setattr(outcome, "run", lab.run)
        return {finding.what: finding for finding in proof.run(chosen, lambda: lab, 1, lambda finding: None)}

    return do


def prove_all(proof, run):
    """As `make prove`: everything that this lab can answer."""
    found = run(proof(), proof().everything())
    assert any(one.ok for one in found.values())
    return found


def names(chosen: Plan):
    return [job.what for job in chosen.jobs]


def test_everything_is_due_before_anything_was_proven(proof):
    chosen = proof().changes(1)
    assert chosen.due == len(chosen.jobs) == len(proof().jobs)
    assert chosen.kept == ()


def test_what_passed_is_kept_and_what_the_lab_lost_is_due(proof, run):
    """The lab answers no stub: that proof is neither proven nor refuted."""
    prove_all(proof, run)
    chosen = proof().changes(1)
    assert chosen.due >= 1
    assert {"stub red"} <= set(names(chosen))
    assert "oracle" in {entry.proof for entry in chosen.kept} | set(names(chosen))
    assert not any(entry.proof == "stub red" for entry in Ledger.load(proof().jobs[0].lesson).entries.values())


def kept(proof, seed=1):
    return {entry.proof for entry in proof().changes(seed).kept}


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        ("lessons/91-small/test_small.py", set()),
        ("solutions/91-small/loader.py", set()),
        ("lessons/91-small/lesson.toml", set()),
        ("tests/hints/91-small.toml", set()),
        ("lessons/91-small/race.c", set()),
        ("tests/oracles/91-small.py", {"mutant wrong"}),
        ("docs/91-small.md", {"mutant wrong", "oracle"}),
        ("lessons/91-small/loader.py", {"mutant wrong", "oracle"}),
    ],
)
def test_a_changed_file_makes_due_what_depends_on_it(proof, run, monkeypatch, path, stays):
    prove_all(proof, run)
    monkeypatch.setattr(plan, "SHARE", 10**9)
    before = {job.what: job.digest for job in proof().jobs}
    target = proof().course.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text((target.read_text() if target.exists() else "") + "\n# changed\n")
    after = {job.what: job.digest for job in proof().jobs}
    same = {what for what in before if before[what] == after[what]}
    named = {"mutant wrong": next(what for what in before if what.startswith("mutant")), "oracle": "oracle"}
    assert {named[one] for one in stays} <= same
    if not stays:
        assert same == set()


@pytest.fixture
def page(lesson):  # noqa: F811
    """Writes the lesson's page, which shows what a command prints."""
    lesson.page.parent.mkdir(parents=True)

    def write(shown):
        lesson.page.write_text(f"<!-- run: echo 23 -->\n```text\n{shown}\n```\n")

    write("23")
    return write


def page_digest(proof):
    return next(job.digest for job in proof().jobs if job.what == "page")


def test_a_page_is_proven_by_its_commands(proof, run, page):
    assert prove_all(proof, run)["page 91-small.md shows what its commands print"].ok
    page("22")
    assert "page" in names(proof().changes(1))
    seen = run(proof(), proof().everything())["page 91-small.md shows what its commands print"]
    assert not seen.ok
    assert "next: workbook author pages 91" in seen.detail


def test_a_page_depends_on_its_examples_and_the_harness(proof, page, lesson, monkeypatch, tmp_path):  # noqa: F811
    before = page_digest(proof)
    example = lesson.root / "docs/examples/91-small/more.py"
    example.parent.mkdir(parents=True)
    example.write_text("23\n")
    with_example = page_digest(proof)
    (tmp_path / "words.toml").write_text("")
    monkeypatch.setattr(depends.harness, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(depends, "of_harness", lambda: "the same")
    assert len({before, with_example, page_digest(proof)}) == 3


def test_a_sample_is_a_tenth_from_few_lessons(lesson):  # noqa: F811
    lessons = [replace(lesson, number=f"{number:02}") for number in range(10)]
    rest = [proving.Job(one, f"mutant {number}", None) for one in lessons for number in range(23)]
    drawn = plan._sample(rest, random.Random(7))
    assert len(drawn) == 23
    assert len({job.lesson.name for job in drawn}) == 1
    often = Counter(id(job) for seed in range(1000) for job in plan._sample(rest, random.Random(seed)))
    assert set(often) == {id(job) for job in rest}
    assert max(often.values()) < 200


def test_a_changed_mutant_makes_that_one_due(proof, lesson):  # noqa: F811
    before = {job.what: job.digest for job in proof().jobs}
    text = lesson.mutants.read_text()
    lesson.mutants.write_text(text.replace("misconception = ", "misconception = 'more' #"))
    after = {job.what: job.digest for job in proof().jobs}
    changed = {what for what in before if before[what] != after[what]}
    assert changed == {what for what in before if what.startswith("mutant")}


def test_a_changed_harness_makes_everything_due(proof, run, monkeypatch):
    prove_all(proof, run)
    monkeypatch.setattr(depends, "of_harness", lambda: "another")
    assert proof().changes(1).kept == ()


def test_entries_of_other_guests_stay_beside(proof, run):
    """A proof that the lesson no longer has goes where everything was proven again, and only there."""
    prove_all(proof, run)
    there = Place("6.1.9", "aarch64")
    mine = proof().ledgers["91-small"]
    for entry in list(mine.entries.values()):
        mine.note(replace(entry, kernel=there.kernel, arch=there.arch))
    for place in (HERE, there):
        mine.note(replace(next(iter(mine.entries.values())), proof="gone", kernel=place.kernel, arch=place.arch))
    before = {key for key in mine.entries if key[1] == there}
    run(proof(), proof().everything())
    after = proof().ledgers["91-small"].entries.keys()
    assert ("gone", there) in before
    assert {key for key in after if key[1] == there} == before
    assert ("gone", HERE) not in after


def test_an_entry_of_another_kernel_does_not_count(proof, run):
    prove_all(proof, run)
    assert proof(Place("7.3.4", "x86_64")).changes(1).kept == ()
    assert proof(Place("6.12.1", "aarch64")).changes(1).kept == ()


def test_each_kept_proof_is_sampled_within_a_few_runs(proof, run):
    prove_all(proof, run)
    every = {entry.proof for seed in range(60) for entry in proof().changes(seed).kept}
    never_run = set.intersection(*(kept(proof, seed) for seed in range(60)))
    assert every
    assert never_run == set()


def test_a_seed_chooses_the_same_again(proof, run):
    prove_all(proof, run)
    assert names(proof().changes(23)) == names(proof().changes(23))


def test_a_forged_entry_is_found_when_it_is_sampled(proof, run, lesson):  # noqa: F811
    """The mutant survives; its entry says that it was killed."""
    prove_all(proof, run)
    mutant = next(job.what for job in proof().jobs if job.what.startswith("mutant"))
    found_after = 0
    for seed in range(60):
        found_after += 1
        chosen = proof().changes(seed)
        if mutant in names(chosen):
            found = run(proof(), chosen, Lab(mutant=passed()))
            assert not next(one for what, one in found.items() if what.startswith("mutant")).ok
            break
    assert mutant not in kept(proof)
    assert found_after < 60


def test_a_proof_that_failed_and_passed_runs_each_time(proof, run):
    run(proof(), proof().changes(1), Lab(oracle=said_no()))
    prove_all(proof, run)
    entries = Ledger.load(proof().jobs[0].lesson).entries
    (one,) = [entry for entry in entries.values() if entry.proof == "oracle"]
    assert one.flaky
    assert len(one.failures) == 1
    assert "oracle" in names(proof().changes(1))
    assert len(ledger.flaky(proof().ledgers)) == 1


def test_other_bytes_end_a_flaky_proof(proof, run, lesson):  # noqa: F811
    run(proof(), proof().changes(1), Lab(oracle=said_no()))
    lesson.oracle.write_text("# fixed\n")
    prove_all(proof, run)
    assert ledger.flaky(proof().ledgers) == []


def test_a_killed_run_goes_on_where_it_was(proof, run, monkeypatch):
    seen = []

    class Killed(Exception):
        pass

    def say(finding):
        seen.append(finding.what)
        if len(seen) == 4:
            raise Killed

    lab = Lab()
    monkeypatch.setattr(outcome, "run", lab.run)
    first = proof()
    with pytest.raises(Killed):
        first.run(first.everything(), lambda: lab, 1, say)
    rest = proof().everything()
    assert len(rest.kept) + len(rest.jobs) == len(proof().jobs)
    assert names(rest)[0] == "solution green"  # the others rest on it
    assert [entry.proof for entry in rest.kept] == ["oracle"]


def test_everything_begins_again_after_the_end(proof, run):
    prove_all(proof, run)
    proof().end()
    assert proof().everything().kept == ()


def test_a_whole_proof_is_old_when_the_harness_has_changed(proof, run, monkeypatch):
    assert proof().whole_is_old
    prove_all(proof, run)
    proof().end()
    assert not proof().whole_is_old
    monkeypatch.setattr(depends, "of_harness", lambda: "another")
    assert proof().whole_is_old


def test_a_proof_of_some_lessons_is_not_the_whole(proof, run):
    some = replace(proof(), jobs=())
    some.end()
    assert proof().whole_is_old


def test_the_ledger_has_an_entry_a_line(proof, run):
    prove_all(proof, run)
    path = Ledger.load(proof().jobs[0].lesson).path
    lines = path.read_text().splitlines()
    assert lines[0] == "["
    assert lines[-1] == "]"
    assert len(lines) == len(json.loads(path.read_text())) + 2


def test_a_proof_that_is_gone_leaves_the_ledger(proof, run, lesson):  # noqa: F811
    prove_all(proof, run)
    lesson.oracle.unlink()
    run(proof(), proof().changes(1))
    assert not any(entry.proof == "oracle" for entry in Ledger.load(lesson).entries.values())


@pytest.mark.parametrize("text", ["{", "[1]", '[{"proof": 1}]', "[" * 100_000])
def test_a_ledger_that_cannot_be_read_is_named(lesson, text):  # noqa: F811
    path = lesson.root / ledger.FOLDER / "91-small.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UsageError, match=r"91-small\.json"):
        Ledger.load(lesson)


def test_a_mark_of_nonsense_begins_again(proof):
    (proof().course.root / ".workbook").mkdir()
    (proof().course.root / ".workbook" / prove.MARK).write_text("[")
    assert proof().everything().kept == ()


def test_words_do_not_change_the_harnesss_digest():
    """The rules of explain are words; what reads them is not."""
    assert not any(name.endswith(".toml") for name in depends.MODULES)
    assert "explain" in depends.ROOMS


ENTRY = Entry(
    proof="x", digest="d", kernel="6.12.1", arch="x86_64", when="2026-01-01T00:00:00Z", seconds=1.0, passed=True
)


def test_a_failure_is_not_kept(tmp_path):
    book = Ledger(tmp_path / "x.json")
    book.note(replace(ENTRY, passed=False), "no")
    assert book.proven("x", "d", HERE) is None
    book.note(replace(ENTRY, digest="e"))
    assert book.proven("x", "e", HERE) is not None
    assert book.proven("x", "d", HERE) is None


def test_a_sample_that_passes_again_changes_no_file(proof, run):
    prove_all(proof, run)
    path = Ledger.load(proof().jobs[0].lesson).path
    before = path.read_text()
    for seed in range(5):
        run(proof(), proof().changes(seed))
    assert path.read_text() == before
    run(proof(), proof().everything())
    assert path.read_text() != before


@pytest.mark.parametrize("provokes", [False, True])
def test_a_lesson_that_provokes_a_race_has_one_guest(proof, lesson, monkeypatch, provokes):  # noqa: F811
    if provokes:
        lesson.tests.write_text(lesson.tests.read_text() + "\n\ndef test_race(provoke): ...\n")
    asked = []
    monkeypatch.setattr(proving, "run_jobs", lambda jobs, lab, guests, say: asked.append((len(jobs), guests)) or [])
    all_of_them = proof()
    all_of_them.run(all_of_them.changes(1), Lab, 2, lambda finding: None)
    assert asked == [(len(all_of_them.jobs), 1 if provokes else 2)]
