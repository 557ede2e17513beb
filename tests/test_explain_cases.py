"""What is said of logs as people meet them (tests/explain/cases.toml): right, partly, unknown, or wrong as a fact."""

import re
from collections import Counter
from dataclasses import fields

import pytest
from scored import CASES, of_case

from harness.explain import near
from harness.explain.evidence import of_log
from harness.explain.explanation import explain
from harness.explain.rules import rules


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_case_is_scored_right(case):
    assert of_case(case) == ("right", of_case(case)[1], [])


def test_no_cause_is_told_wrongly_as_a_fact():
    scores = Counter(of_case(case)[0] for case in CASES)
    print(dict(scores))
    assert scores["wrong"] == 0


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_a_rule_fills_each_word_that_it_uses(rule):
    patterns = [getattr(rule, field.name) for field in fields(rule)]
    groups = {name for pattern in patterns if isinstance(pattern, re.Pattern) for name in pattern.groupindex}
    given = {"near", "header", "message", "function", "warning", "got_words", "wanted_words", "value_words", "error"}
    given |= (
        {"what", "variable", "got_type", "declared", "map", "at", "map_line", "have", "size"} if rule.narrow else set()
    )
    used = set(re.findall(r"\{([a-z_][a-z_0-9]*)\}", f"{rule.cause} {rule.advice}"))
    assert used - groups - given - {"a", "key"} == set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_no_word_is_left_open(case):
    found = explain(of_log(case["log"]))
    assert re.findall(r"\{[a-z_0-9]+\}", f"{found.cause} {found.advice}") == []


def test_each_name_of_a_header_has_one():
    for kind, tables in near.headers().items():
        for header, names in tables.items():
            plain = [name for name in re.sub(r"\([^()]*\)", "(", names).split("|") if re.fullmatch(r"\w+", name)]
            assert [name for name in plain if near.header_of(name, kind) != header] == []
