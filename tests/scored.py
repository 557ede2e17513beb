"""The figures of `workbook explain`: what is said of recorded programs, silent scripts and logs, against what is due.

`PYTHONPATH=tests python tests/scored.py` prints them and what is missed; test_explain_corpus.py holds their floors.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import recorded

from harness.explain.evidence import of_log
from harness.explain.explanation import explain

ROOT = recorded.HERE.parent
CORPUS = recorded.HERE / "explain"
EXPECTED = tomllib.loads((CORPUS / "corpus.toml").read_text())
CASES = tomllib.loads((CORPUS / "cases.toml").read_text())["case"]
SILENT = tomllib.loads((recorded.HERE / "silent/expected.toml").read_text())
NOTHING = "No fault, or no cause"
SCORES = ("right", "partly", "unknown", "wrong")


def several(value):
    return value if isinstance(value, list) else [value]


@dataclass
class Share:
    """How many of all, and the names of the others."""

    of: int = 0
    missed: list[str] = field(default_factory=list)

    def count(self, name, good):
        self.of += 1
        if not good:
            self.missed.append(name)

    @property
    def ratio(self):
        return (self.of - len(self.missed)) / self.of

    def __str__(self):
        return f"{self.of - len(self.missed)} of {self.of}"


def has_line(entry, said):
    """Whether the line that is blamed is at fault, in its file."""
    return said.line in several(entry.get("line")) and said.path.name == entry.get("blame", entry["file"])


def has_token(entry, said):
    """Whether just what is at fault is underlined."""
    column, width = said.mark
    return said.source[column - 1 : column - 1 + width] in several(entry["token"])


def has_origin(entry, said):
    """Whether a line that the value comes from is named."""
    named = {int(line) for line in re.findall(r"\blines? (\d+)\b", " ".join(said.since))}
    return not named.isdisjoint(several(entry["origin"]))


def of_programs():
    """Of the faulty programs whose evidence is kept: class, line, token and origin."""
    shares = {name: Share() for name in ("class", "exact line", "token", "origin shown")}
    for entry in EXPECTED["program"]:
        path = Path(entry["file"])
        if entry["rule"] == "ok" or not recorded.kept(path, "explain").exists():
            continue
        said = recorded.recall(CORPUS / path, "explain")
        shares["class"].count(path.name, said.rule in several(entry["rule"]))
        shares["exact line"].count(path.name, has_line(entry, said))
        for due, name, has in (("token", "token", has_token), ("origin", "origin shown", has_origin)):
            if due in entry:
                shares[name].count(path.name, has(entry, said))
    return shares


def of_silent():
    """Of the silent scripts whose evidence is kept: cause and line of those with one, no fault in the others."""
    shares = {name: Share() for name in ("cause", "line", "not accused")}
    for name, due in SILENT.items():
        path = recorded.HERE / "silent" / f"{name}.py"
        if not recorded.kept(path, "silent").exists():
            continue
        said = recorded.recall(path, "silent")
        shares["cause" if due["cause"] else "not accused"].count(name, said.rule == due["cause"])
        if due["cause"] and "at" in due:
            shares["line"].count(name, due["at"] in said.source)
    return shares


def of_case(case):
    """The score of one log, and what was said."""
    found = explain(of_log(case["log"].removeprefix("\n")))
    rule, said = found.rule or found.kind, f"{found.cause} {found.advice}"
    misses = [word for word in case.get("says", []) if word not in said]
    slips = [word for word in case.get("never", []) if word in said]
    if rule in several(case["rule"]) and not slips:
        return ("partly" if misses else "right"), rule, misses
    if rule in case.get("partly", []) and not slips:
        return "partly", rule, misses
    return ("unknown" if found.kind == "unknown" else "wrong"), rule, slips


def of_cases():
    """Section of docs/explain.md that the class due is in → score → how many logs."""
    section, sections = "", {"ok": NOTHING, "unknown": NOTHING, "empty": NOTHING}
    for level, name in re.findall(r"^(##?) (.+)$", (ROOT / "docs/explain.md").read_text(), re.MULTILINE):
        if level == "#":
            section = name
        else:
            sections[name] = section
    table = {}
    for case in CASES:
        scores = table.setdefault(sections[several(case["rule"])[0]], Counter())
        scores[of_case(case)[0]] += 1
    return table


def of_advice():
    """Of the changes that were tried in the lab: which help."""
    share, untried = Share(), []
    for path, said in recorded.tried(recorded.from_evidence).items():
        if said.helped is None or "the lab was lost" in said.tried:
            untried += [path.name] if said.changes else []
        else:
            share.count(path.name, said.helped)
    return share, untried


def main():
    share, untried = of_advice()
    advice = {"tried, and then it loads": share}
    for title, shares in (("programs", of_programs()), ("silent scripts", of_silent()), ("advice", advice)):
        for name, one in shares.items():
            print(f"{title:15} {name:25} {one!s:12} {' '.join(one.missed)}")
    print("not tried yet:", *untried)
    print(f"\n{'logs':25}", *(f"{name:>8}" for name in SCORES))
    for stage, scores in of_cases().items():
        print(f"{stage:25}", *(f"{scores[name]:8}" for name in SCORES))


if __name__ == "__main__":
    main()
