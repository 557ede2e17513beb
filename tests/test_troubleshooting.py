"""Every finding of the doctor and every exit code is in docs/troubleshooting.md."""

import ast
import inspect
import re
from pathlib import Path

from harness import errors
from harness.learner import doctor

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/troubleshooting.md").read_text()


def names():
    """First argument of each Finding that doctor.py makes; a changing part is cut off."""
    found = set(doctor.PROGRAMS)
    for node in ast.walk(ast.parse(inspect.getsource(doctor))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "_finding"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                found.add(first.value)
            elif isinstance(first, ast.JoinedStr):
                found.add(first.values[0].value.strip())
    return found


def test_every_finding_has_its_heading():
    headings = set(re.findall(r"^### (.+)$", PAGE, re.MULTILINE))
    assert names() == headings


def test_every_exit_code_is_explained():
    codes = {cls.exit_code for cls in vars(errors).values() if isinstance(cls, type) and hasattr(cls, "exit_code")}
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert rows >= codes | {0, 130}
