"""Pictures of what the commands show, taken from real runs: docs/screens, made by `workbook author screens`.

It replays a learner's day in a separate checkout, command by command, and takes pictures of some commands.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

# rich's own picture of a window; without the @font-face that would load a font from the network.
from rich._export_format import CONSOLE_SVG_FORMAT  # isort: skip

from harness.authoring import transcripts
from harness.course import files, stubs
from harness.course.catalog import Course
from harness.errors import LabError, SetupError, UsageError

FOLDER = Path("docs/screens")
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
CHARACTER = 12.2
"""Width of a character there, in pixels (rich.console.Console.export_svg: 20 · 0.61)."""
COLUMNS = 100
RUN_TIMEOUT_S = 900
VARIES = (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"seed \d+", r"^… \d+ lines more$")
PAGE_SIZE = (1000, 2100)
"""Of the picture of an HTML page, in pixels."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Act:
    """Something that the learner does."""

    command: str = ""
    """As it is typed."""
    exits: int = 0
    before: Callable[[Path], None] = lambda root: None
    """What was written before, in the checkout."""
    picture: str = ""
    """Name of the picture that is taken of it, without its ending."""
    lines: int = 1000
    """The picture shows this many, and says how many more there were."""


def _write_all(number: str) -> Callable[[Path], None]:
    """The learner has written what the reference has."""

    def write(root: Path) -> None:
        lesson = Course.load(root).pick(number)
        for name in lesson.edited:
            shutil.copy(lesson.folder("solutions") / name, lesson.folder() / name)

    return write


def _write_but(number: str, hole: int) -> Callable[[Path], None]:
    """The learner has written all but one step."""

    def write(root: Path) -> None:
        lesson = Course.load(root).pick(number)
        for name in lesson.edited:
            source = lesson.folder("solutions") / name
            (lesson.folder() / name).write_text(stubs.stub_of(files.read_text(source), source, only=hole))

    return write


def _write_naps(root: Path) -> None:
    """The learner has written a program that uses what a lookup gives without a check."""
    shutil.copy(root / "tests/explain/naps.bpf.c", root / "naps.bpf.c")


DAY = (
    Act("workbook verify 01", exits=1, picture="verify"),
    Act("workbook explain naps.bpf.c", exits=1, before=_write_naps, picture="explain", lines=40),
    Act("workbook verify 00", before=_write_all("00")),
    Act("workbook hint 01"),
    Act("workbook verify 01", before=_write_all("01")),
    Act("workbook hint 02 --step 3"),
    Act("workbook hint 02 --step 3"),
    Act("workbook verify 02", before=_write_but("02", 3), exits=1),
    Act("workbook run 07 -- --hz 29 find / -name nowhere", before=_write_all("07")),
    Act("workbook progress", picture="progress"),
    Act("workbook report -o report.html", picture="report"),
)


@dataclass(frozen=True)
class Shot:
    """One picture, and where it belongs."""

    path: Path
    content: bytes
    text: str
    """What it says, without colours; empty for a picture of an HTML page."""


def shots(root: Path, say: Callable[[str], None], day: Sequence[Act] = DAY) -> Iterator[Shot]:
    """Live through the day, take its pictures. LabError where the lab fails, UsageError where a command surprises."""
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory)
        for name in ("lessons", "solutions", "tests/mutants", "tests/explain"):
            if (root / name).exists():
                shutil.copytree(root / name, checkout / name)
        for act in day:
            say(act.command)
            act.before(checkout)
            printed = _run(act, checkout)
            if not act.picture:
                continue
            if (page := checkout / f"{act.picture}.html").exists():
                yield Shot(FOLDER / f"{act.picture}.png", _photograph(page), "")
            else:
                text = _head(Text.from_ansi(printed), act.lines)
                yield Shot(FOLDER / f"{act.picture}.svg", svg(text, act.command, act.picture).encode(), text.plain)


def _head(text: Text, lines: int) -> Text:
    """The first lines, and how many more there are."""
    every = text.split()
    more = [Text(f"… {len(every) - lines} lines more", style="dim")] if len(every) > lines else []
    return Text("\n").join([*every[:lines], *more])


def _run(act: Act, checkout: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.run(
        act.command.split(),
        cwd=checkout,
        env=environment
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "FORCE_COLOR": "1",
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    if done.returncode == LabError.exit_code:
        raise LabError(f"{act.command}: {done.stderr.strip()}")
    if done.returncode != act.exits:
        raise UsageError(f"{act.command}: exit status {done.returncode}, not {act.exits}: {done.stdout}{done.stderr}")
    return done.stdout.strip("\n")


def svg(text: Text, title: str, name: str) -> str:
    """A terminal's window with `text` in it, as SVG that loads nothing."""
    width = max(map(len, [*text.plain.splitlines(), f"   {title}   "]))
    console = Console(record=True, width=width + 1, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(text, no_wrap=True, overflow="ignore")
    return console.export_svg(title=title, code_format=FORMAT, unique_id=name)


def text_of(picture: str) -> str:
    """What a picture made by `svg` says: its texts, line by line."""
    lines: dict[float, dict[float, str]] = defaultdict(dict)
    for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
        if "clip-path" in element.attrib:  # the window's title has none
            lines[float(element.attrib["y"])][float(element.attrib["x"])] = element.text or ""
    return "\n".join(_joined(lines[y]) for y in sorted(lines)).strip("\n")


def _joined(pieces: dict[float, str]) -> str:
    """The pieces of one line, each at its place in pixels."""
    line = ""
    for x in sorted(pieces):
        line = line.ljust(round(x / CHARACTER)) + pieces[x].replace("\xa0", " ").strip("\n")
    return line.rstrip()


def same(one: str, other: str) -> bool:
    """Whether two screens say the same, but for dates and what else differs between two runs."""
    one, other = ("\n".join(line.rstrip() for line in text.splitlines() if line.strip()) for text in (one, other))
    return transcripts.same(one, other, VARIES)


def _photograph(page: Path) -> bytes:
    """An HTML page as a browser shows it, as PNG; SetupError where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SetupError("a picture of an HTML page needs chromium", remedy="sudo apt-get install chromium")
    picture = page.with_suffix(".png")
    # No sandbox: it needs user namespaces, which containers deny, and the page is our own.
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--window-size={},{}".format(*PAGE_SIZE), f"--screenshot={picture}", page.as_uri()],
        check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
    )  # fmt: skip
    return picture.read_bytes()
