"""Nothing is wrong: right programs, scripts, tools and logs, in none of which a fault may be found."""

import tomllib
from pathlib import Path

import pytest
import recorded
from scored import CASES
from test_explain_corpus import PROGRAMS, REFERENCES, path_of
from test_silent import SCRIPTS

from harness.explain.evidence import of_gathered
from harness.explain.explanation import explain

TESTS = Path(__file__).resolve().parent
KEPT = {path.name.removesuffix(".py.json"): path for path in sorted((recorded.EVIDENCE / "tools").glob("*.json"))}
RIGHT_MIN = 130
"""Of which the evidence is kept; more tools run in the lab in the soak."""
NOT_HERE = tomllib.loads((recorded.EVIDENCE / "tools.toml").read_text())["not_here"]
"""Tools of Debian's that do not come to run in the lab, and why."""


FIXED = [
    path
    for path in sorted((recorded.EVIDENCE / "tried").glob("*.bpf.c.*.json"))
    if recorded.read(path, "tried", "/tried/0").status == 0
]
"""Programs of the corpus with their fault fixed, that the kernel took."""


@pytest.mark.parametrize("path", FIXED, ids=lambda path: path.name)
def test_a_fixed_program_is_not_accused(path):
    said = explain(of_gathered(recorded.read(path, "tried", "/tried/0"), {}))
    assert (said.kind, said.rule) == ("ok", "")


@pytest.mark.parametrize("tool", KEPT)
def test_no_tool_that_starts_is_accused(tool):
    found = recorded.read(KEPT[tool], "tools", "/tools")
    said = explain(of_gathered(found, {}))
    if tool in NOT_HERE:
        assert said.kind != "ok", "it runs here: take it out of the list"
    else:
        assert (said.kind, said.rule) == ("ok", "")
        assert found.source == "ok", "the tool's own text was at hand in the lab, and a fault was found"


def test_many_right_inputs_are_examined():
    logs = [case for case in CASES if case["rule"] == "ok"]
    scripts = [name for name, one in SCRIPTS.items() if not one["cause"]]
    programs = [
        entry for entry in PROGRAMS if entry["rule"] == "ok" and recorded.kept(path_of(entry), "explain").exists()
    ]
    references = [one for one in REFERENCES if recorded.kept(path_of(one), "solutions").exists()]
    right = {
        "tools": len(KEPT) - len(NOT_HERE), "programs": len(programs), "references": len(references),
        "scripts": len(scripts), "logs": len(logs), "fixed programs": len(FIXED),
    }  # fmt: skip
    print(right)
    assert sum(right.values()) >= RIGHT_MIN
    assert len({case["kind"].split(":")[0] for case in logs}) >= 5


@pytest.mark.guest
@pytest.mark.long
@pytest.mark.timeout(3000)
def test_no_tool_is_accused_in_the_lab(tmp_path):
    """With the tools' own texts at hand, which are not kept here."""
    accused = {}
    for paths, arguments in recorded.tools(tmp_path):
        for path, found in zip(paths, recorded.gathered(paths, recorded.SECONDS, arguments), strict=True):
            said = recorded.said(found, path)
            if said.kind != "ok" and path.stem not in NOT_HERE:
                accused[path.stem] = said.cause
    assert accused == {}
