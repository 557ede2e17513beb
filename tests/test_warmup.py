"""What a run needs was imported or compiled before the guest was saved: each module costs a tenth of a second."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORKBOOK = str(Path(sys.executable).with_name("workbook"))
COMPILED_ANEW = """\
def compiled_anew():
    import sys
    from pathlib import Path
    files = {name: getattr(module, "__cached__", None) for name, module in list(sys.modules.items())}
    return [name for name, cached in files.items() if cached and not Path(cached).exists()]
"""
IMPORTS = f"""\
import importlib, sys
sys.dont_write_bytecode = True
{COMPILED_ANEW}
for name in sys.argv[1:]:
    importlib.import_module(name)
print(compiled_anew())
"""
TEST = f"""\
{COMPILED_ANEW}
def test_red():
    assert {{"counts": [1, 2]}} == {{"counts": [1, 3]}}

def test_it():
    assert set(compiled_anew()) - {{__name__}} == set()

def test_imports():
    import sys
    from harness.guest.agent import warmup
    names = list(sys.modules)  # in the order in which they were imported
    warm = [names.index(name) for name in warmup.names()]
    assert set(names[max(warm) + 1 :]) - {{__name__}} == set()
"""


def imports(file):
    """The modules that a Python file names in its imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


PROGRAMS = {"harness.guest.observing.gather", "harness.guest.observing.features"}
"""Of the harness: those that are started in the guest by name."""


@pytest.mark.guest
def test_no_program_compiles_the_modules_that_it_imports():
    loaders = (ROOT / "solutions").glob("*/loader.py")
    names = PROGRAMS | {name for file in loaders for name in imports(file)}
    command = [WORKBOOK, "lab", "exec", "--", "python3", "-c", IMPORTS, *sorted(names)]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (seen.stdout, seen.returncode) == ("[]\n", 0), seen.stderr


@pytest.mark.guest
def test_no_run_of_pytest_compiles_a_module_but_its_test(course):
    course.write("test_small.py", TEST)
    course.write("loader.py", "")
    seen = course.pytest("lessons/90-small", "-p", "no:cacheprovider")
    assert "AssertionError" in seen.failures["test_red"]
    assert seen.failures["test_it"] == "", seen.screen


@pytest.mark.guest
def test_no_run_of_pytest_imports_a_module_but_its_test(course):
    course.write("test_small.py", TEST)
    course.write("loader.py", "")
    seen = course.pytest("lessons/90-small", "-p", "no:cacheprovider", "-k", "imports")
    assert seen.failures["test_imports"] == "", seen.screen
