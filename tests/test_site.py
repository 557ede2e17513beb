"""`make docs`: the site has what it should, loads nothing from elsewhere, and a fault in a page fails the build."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock

from harness.authoring import pages
from harness.course.catalog import Course, by_track
from harness.explain import rules
from harness.page import markdown

ROOT = Path(__file__).resolve().parent.parent
HARNESS = ROOT / "harness"
COURSE = Course.load(ROOT)
SETUP_S, BUILD_S = 240, 60
pytestmark = pytest.mark.timeout(SETUP_S + BUILD_S + 10)
REQUESTED = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc(?:set)?=|<link\b[^>]*\bhref=|url\(|@import\s)"""
    r"""\s*["']?(?:https?:)?//[^"'\s)>]*""",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"https?://(?!www\.w3\.org/)[^\s\"'`)]+")
LICENCE = re.compile(r"^\s*(?:/?\*|//).*$|/\*!?.*?\*/", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def python():
    """The Python of .venv-docs, which `make docs` makes."""
    subprocess.run(["sh", "harness/setup.sh", "--docs"], cwd=ROOT, check=True, timeout=SETUP_S)
    return ROOT / ".venv-docs/bin/python"


def build(python, root, to):
    """What the build of a checkout's site says."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'docs'}"}
    command = [python, "-m", "website", "--root", root, "--to", to]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_S)


@pytest.fixture(scope="session")
def site(python, tmp_path_factory):
    """The site of this checkout, built once for all workers."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    to = shared / "site"
    with FileLock(shared / "site.lock"):
        if not to.exists():
            done = build(python, ROOT, to)
            assert (done.returncode, done.stderr) == (0, "")
    return to


def text(site, name):
    return (site / f"{name}.html").read_text()


def test_the_lessons_follow_one_another(site):
    for before, after in pairwise(lesson.page.stem for lesson in COURSE):
        assert re.search(rf'<link rel="next" title="[^"]*" href="{after}.html"', text(site, before))
        assert re.search(rf'<link rel="prev" title="[^"]*" href="{before}.html"', text(site, after))


def test_the_contents_name_each_track(site):
    captions = re.findall(r'<span class="caption-text">(.*?)</span>', text(site, "index"))
    tracks = [title for title, _ in by_track(COURSE)]
    assert captions[: len(tracks)] == tracks


class Words(HTMLParser):
    """What a reader sees of an article, without the signs that link to a heading."""

    def __init__(self, page):
        super().__init__()
        self.words, self._hidden = [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._hidden = tag == "a" and dict(attrs).get("class") == "headerlink"

    def handle_endtag(self, tag):
        self._hidden = False

    def handle_data(self, data):
        if not self._hidden:
            self.words += data.split()


@pytest.mark.parametrize("lesson", [lesson.page.stem for lesson in COURSE])
def test_the_page_beside_the_editor_says_the_same(site, lesson):
    article = re.search(r'<article[^>]*id="furo-main-content"[^>]*>(.*?)</article>', text(site, lesson), re.DOTALL)[1]
    assert "".join(Words(article).words) == "".join(Words(markdown.page(ROOT, lesson)).words)


def test_every_page_is_there(site):
    wanted = {page.stem for page in pages.pages(ROOT)} | {"names", "changelog", "search"}
    assert {path.stem for path in site.glob("*.html")} == wanted


def test_the_index_has_every_name_with_its_lessons(site):
    rows = dict(
        re.findall(r"<tr[^>]*>\s*<td><p><code[^>]*>(.*?)</code></p></td>(.*?)</tr>", text(site, "names"), re.DOTALL)
    )
    rows = {re.sub(r"<[^>]*>", "", name): row for name, row in rows.items()}
    wanted = {(name, lesson.name) for lesson in COURSE for name in lesson.teaches}
    assert {(name, lesson) for name, lesson in wanted if f">{lesson}<" in rows.get(name, "")} == wanted


def test_each_class_of_the_corpus_shows_an_example(site):
    sections = re.split(r'<section id="', text(site, "explain"))
    shown = {section.partition('"')[0] for section in sections if "literal-block-wrapper" in section}
    tables = [tomllib.loads(path.read_text()) for path in (ROOT / "tests/explain").glob("*.toml")]
    entries = [entry for table in tables for kind in table.values() for entry in kind]
    known = {entry["rule"] for entry in entries if isinstance(entry["rule"], str) and "blame" not in entry}
    assert shown == {rule.id for rule in rules.rules()} & known


def test_the_picture_has_the_arrows_of_the_code(site):
    page = text(site, "architecture")
    said = dict(re.findall(r"<li><code>(\w+)</code> imports (.*?)</li>", page))
    rooms = {path.stem for path in HARNESS.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))} - {"__init__"}
    assert {name: set(words.split(", ")) - {"no other room"} for name, words in said.items()} == {
        name: imported(name) & rooms - {name} for name in rooms
    }
    assert re.search(r'<svg [^>]*role="img" aria-labelledby="rooms-title rooms-description"', page)


def imported(room):
    """The rooms that a room's files name in their imports."""
    paths = (HARNESS / room).rglob("*.py") if (HARNESS / room).is_dir() else [HARNESS / f"{room}.py"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in modules if name.startswith("harness.")}


class Diagrams(HTMLParser):
    """Labels of drawn text."""

    labels = ()

    def handle_starttag(self, tag, attrs):
        if tag == "div" and ("role", "img") in attrs:
            self.labels += (dict(attrs)["aria-label"],)


def test_each_diagram_is_described_for_a_screen_reader(site):
    for lesson in COURSE:
        found = Diagrams()
        found.feed(text(site, lesson.name))
        assert [label for label in found.labels if len(label) > 60], lesson.name


def test_nothing_is_requested_from_another_host(site):
    files = {
        path.relative_to(site): path.read_text() for path in site.rglob("*") if path.suffix in (".html", ".css", ".js")
    }
    found = {str(path): REQUESTED.findall(content) for path, content in files.items()}
    scripts = {
        str(path): ADDRESS.findall(LICENCE.sub("", content)) for path, content in files.items() if path.suffix == ".js"
    }
    scripts.pop("searchindex.js")  # words of the pages
    assert {path: urls for path, urls in (found | scripts).items() if urls} == {}


@pytest.fixture
def small(tmp_path):
    """A checkout with one lesson and empty pages, which builds; `small(page, text)` adds to a page."""
    root = tmp_path / "checkout"
    (root / "docs/website").mkdir(parents=True)
    (root / "lessons").mkdir()
    first = COURSE.lessons[0]
    shutil.copytree(first.folder(), root / "lessons" / first.name)
    shutil.copytree(ROOT / "docs/screens", root / "docs/screens")
    (root / "harness").symlink_to(HARNESS)
    (root / "CHANGELOG.md").write_text("# Changelog\n")
    guides, workbook = (
        ("page", "probes", "today", "silent", "kernels", "troubleshooting"),
        ("architecture", "authoring", "security"),
    )
    for name in ("index", first.name, *guides, *workbook):
        (root / f"docs/{name}.md").write_text(f"# {name}\n\n## Rooms\n")
    headings = [line for line in (ROOT / "docs/explain.md").read_text().splitlines() if line.startswith("#")]
    (root / "docs/explain.md").write_text("\n\n".join(headings) + "\n")
    for table in ("diagrams.toml", "mentioned.toml"):
        (root / "docs/website" / table).write_text("")

    def add(page, words):
        with (root / f"docs/{page}.md").open("a") as file:
            file.write(words)
        return root

    return add


FAULTS = [
    ("index", "[there](nowhere.md)\n", r"docs/index.md:4: .*nowhere\.md"),
    ("index", "[there](silent.md#no-such-place)\n", r"docs/index.md:4: .*no-such-place"),
    ("index", '<a href="nowhere.html">there</a>\n', r"built index.html:\d+: dead link nowhere.html"),
    ("silent", "Call `bpf_get_curent_comm()`.\n", "docs/silent.md:4: unknown name bpf_get_curent_comm"),
    ("silent", "Call `bpf.atach_kprobe()`.\n", "docs/silent.md:4: unknown name BPF.atach_kprobe"),
    ("alone", "# Alone\n", r"docs/alone.md: .*isn't included in any toctree .* next: name it in docs/website/stage.py"),
    ("silent", "```text\na ──▶ b\n```\n", "docs/silent.md:4: this diagram has no description"),
    ("silent", '<img alt="" src="https://example.org/a.png">\n', "loaded from another host: https://example.org/a.png"),
]


def test_a_checkout_without_a_fault_builds(python, small, tmp_path):
    done = build(python, small("index", ""), tmp_path / "site")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("page", "words", "said"),
    FAULTS,
    ids=[
        "dead link",
        "dead anchor",
        "dead html link",
        "unknown helper",
        "unknown method",
        "orphan",
        "diagram",
        "foreign",
    ],
)
def test_a_fault_fails_the_build_and_writes_no_site(python, small, tmp_path, page, words, said):
    done = build(python, small(page, words), tmp_path / "site")
    assert done.returncode == 1
    assert re.search(said, done.stderr), done.stderr
    assert not (tmp_path / "site").exists()
