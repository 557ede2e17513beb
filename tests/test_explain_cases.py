"""What is said of logs as people meet them (tests/explain/cases.toml): right, partly, unknown, or wrong as a fact."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from harness.explain.evidence import of_log
from harness.explain.explanation import explain

CASES = tomllib.loads((Path(__file__).parent / "explain" / "cases.toml").read_text())["case"]


def several(value):
    return value if isinstance(value, list) else [value]


def score(case):
    """The score of one case, and what was said."""
    found = explain(of_log(case["log"].removeprefix("\n")))
    rule, said = found.rule or found.kind, f"{found.cause} {found.advice}"
    misses = [word for word in case.get("says", []) if word not in said]
    slips = [word for word in case.get("never", []) if word in said]
    if rule in several(case["rule"]) and not slips:
        return ("partly" if misses else "right"), rule, misses
    if rule in case.get("partly", []) and not slips:
        return "partly", rule, misses
    return ("unknown" if found.kind == "unknown" else "wrong"), rule, slips


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_case_is_scored_right(case):
    assert score(case) == ("right", score(case)[1], [])


def test_no_cause_is_told_wrongly_as_a_fact():
    scores = Counter(score(case)[0] for case in CASES)
    print(dict(scores))
    assert scores["wrong"] == 0
