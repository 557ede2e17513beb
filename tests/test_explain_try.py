"""`workbook explain --try`: the advised change in a copy, and what is said of it. No guest is started."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import GuestLost
from harness.explain import change, show
from harness.explain.change import Change
from harness.explain.explanation import Explanation
from harness.learner import trying
from harness.protocol.facts import Gathered

ROOT = Path(__file__).resolve().parent.parent
C = Path("/mine/count.bpf.c")
OWN = """\
#include <uapi/linux/ptrace.h>

int on_sync(struct pt_regs *ctx)
{
    u64 *count = counts.lookup(&key);

    if (ctx)
        *count += 1;
    return 0;
}
"""
CHECK = change.before(OWN, C, 5, "if (!count) return 0;")
FOUND = Explanation("load", "null-check", C, 8, source="        *count += 1;", advice="Check it.", changes=(CHECK,))
AFTER = Gathered(file="", status=0, stage="run")


def tried(after, found=FOUND, sent=None):
    """The explanation after one trial that ends as `after` says: explanations, one for each change."""
    seen = []

    def run(programs, copies):
        seen.append((programs, copies))
        return [one if isinstance(one, GuestLost) else AFTER for one in after]

    outcomes = iter([one for one in after if not isinstance(one, GuestLost)])
    (one,) = trying.tried([found], [found.path], sent or {C: OWN.encode()}, run, lambda *_: next(outcomes))
    return one, seen


def test_a_statement_stands_before_the_line():
    made = change.before(OWN, C, 9, "leave();")
    assert made.applied(OWN).splitlines()[8:10] == ["    leave();", "    return 0;"]


def test_a_statement_alone_after_an_if_gets_braces():
    made = change.before(OWN, C, 8, "if (!count) return 0;")
    assert made.applied(OWN).splitlines()[6:9] == [
        "    if (ctx)", "        { if (!count) return 0;", "        *count += 1; }",
    ]  # fmt: skip


def test_a_statement_of_several_lines_is_not_torn():
    own = "int f(void *ctx)\n{\n    long a =\n        *b;\n    return a;\n}\n"
    assert change.before(own, C, 4, "if (!b) return 0;").applied(own).splitlines()[2] == "    if (!b) return 0;"


def test_a_reservation_is_given_back_where_the_program_returns():
    own = """\
int f(void *ctx)
{
    struct e *e = ring.ringbuf_reserve(sizeof(*e));
    if (!e)
        return 0;
    if (ctx) return 1;
    ring.ringbuf_submit(e, 0);
    return 0;
}
"""
    rows = change.discarded(own, C, 3, "e", "ring").rows(own)
    assert rows == [(6, "    if (ctx) { ring.ringbuf_discard(e, 0); return 1; }")]


def test_an_include_follows_the_others():
    assert change.included(OWN, C, "linux/fs.h").rows(OWN) == [(2, "#include <linux/fs.h>")]


@pytest.mark.parametrize(
    ("rule", "words", "line", "row"),
    [
        ("undeclared", {"name": "count", "near": "; did you mean counts?"}, 8, "        *counts += 1;"),
        ("key-size", {"at": "5", "got_type": "u64", "declared": "u32"}, 8, "    u32 *count = counts.lookup(&key);"),
        ("missing-header", {"header": "linux/fs.h"}, 5, "#include <linux/fs.h>"),
    ],
)
def test_a_rules_words_mean_a_change(rule, words, line, row):
    assert [text for _, text in change.of_words(rule, words, OWN, C, line).rows(OWN)] == [row]


def test_words_that_name_nothing_mean_no_change():
    assert change.of_words("undeclared", {"name": "count", "near": "."}, OWN, C, 8) is None


def test_rows_that_were_tried_keep_their_indentation():
    made = change.before(OWN, C, 9, "if (!ctx)", "    return 1;", "")
    one, _ = tried([Explanation("ok")], replace(FOUND, changes=(made,)))
    assert one.tried.endswith("\n    9 + if (!ctx)\n    10 +     return 1;")


def test_advice_that_helps_is_said_to():
    one, ((programs, copies),) = tried([Explanation("ok")])
    assert programs == [Path("/tried/0/count.bpf.c")]
    assert b"if (!count) return 0;" in copies[programs[0]]
    assert (one.helped, one.advice) == (True, "Check it.")
    assert "tried: with this change it loads, and nothing wrong is found\n    5 + if (!count) return 0;" in show.body(
        one
    )


@pytest.mark.parametrize(
    "after",
    [
        FOUND,
        Explanation("compile", "syntax", C, 6),
        Explanation("load", "stack-size", C, 5, source="    if (!count) return 0;"),
        GuestLost("gone"),
    ],
)
def test_advice_that_does_not_help_is_not_printed(after):
    one, _ = tried([after])
    assert (one.helped, one.advice) == (False, "")
    assert "this change does not help" in show.body(one)
    assert "try:" not in show.body(one)


def test_the_next_fault_is_named():
    one, _ = tried([Explanation("load", "loop", C, 20, source="for (;;)", cause="It never ends.")])
    assert one.helped is True
    assert "the next fault is: line 20: It never ends." in one.tried


def test_of_two_changes_one_is_enough():
    both = replace(FOUND, changes=(CHECK, change.before(OWN, C, 9, "leave();")))
    one, ((programs, _),) = tried([FOUND, Explanation("ok")], both)
    assert len(programs) == 2
    assert (one.helped, one.advice, "does not help" in one.tried) == (True, "Check it.", False)


def test_nothing_is_run_where_nothing_can_be_tried():
    assert tried([], replace(FOUND, changes=())) == (replace(FOUND, changes=()), [])
    one = trying.tried([FOUND], [None], {}, pytest.fail, pytest.fail)
    assert one == [FOUND]


def test_a_line_that_was_cut_is_not_changed():
    long = OWN.replace("return 0;", f"return 0; /* {'x' * 600} */")
    cut = replace(FOUND, changes=(Change(C, ((9, ("    return 1;",)),)),))
    assert tried([], cut, {C: long.encode()}) == (cut, [])


def test_the_answer_to_a_todo_is_not_tried(tmp_path):
    for tree in ("lessons", "solutions"):
        shutil.copytree(ROOT / tree / "01-hello-kprobe", tmp_path / tree / "01-hello-kprobe")
    path = tmp_path / "lessons/01-hello-kprobe/hello_kprobe.bpf.c"
    text = path.read_text()
    inside = next(n for n, row in enumerate(text.splitlines(), 1) if "TODO" in row)
    found = replace(FOUND, path=path, changes=(Change(path, ((inside, ("    answer();",)),)),))
    one, seen = tried([], found, {path: text.encode()})
    assert seen == []
    assert "not tried: what helps here is the answer to TODO" in one.tried
    assert "answer()" not in show.body(one)
    outside = replace(found, changes=(Change(path, ((1, ("// other",)),)),))
    assert tried([Explanation("ok")], outside, {path: text.encode()})[0].helped is True
