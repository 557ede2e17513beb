"""Lesson 01 in a browser and in a real guest: from the stub to green, by editing files.

With WORKBOOK_PICTURES=docs/screens the pictures of the page are taken again; without, they are compared.
"""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from browser import LESSON, ROOT, checkout, chromium

pytestmark = [pytest.mark.browser, pytest.mark.guest]
WORKBOOK = str(Path(sys.executable).with_name("workbook"))
WAIT_MS = 180_000
SIZES = {"desk": {"width": 1040, "height": 860}, "phone": {"width": 390, "height": 780}}
KEPT = ROOT / "docs/screens"
DIFFERENT_MAX = 0.015
"""Of all pixels of the coarse picture, where a time and a number may differ: two runs differ by 0.001, red and green by
0.03."""
COARSE = """async ([one, other]) => {
  const pixels = async (data) => {
    const image = await createImageBitmap(await (await fetch(data)).blob());
    const canvas = new OffscreenCanvas(image.width / 8, image.height / 8);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height).data;
  };
  const [a, b] = [await pixels(one), await pixels(other)];
  if (a.length !== b.length) return 1;
  let different = 0;
  for (let at = 0; at < a.length; at += 4) different += Math.abs(a[at] - b[at]) > 48;
  return 4 * different / a.length;
}"""
UNCHECKED = """
    u32 key = 0;
    u64 *count = seen.lookup(&key);
    *count += 1;
"""


@pytest.fixture
def root():
    """A checkout whose path is short, and as long each time: the page shows it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ebpf-workbook"
        root.mkdir()
        yield checkout(root)


@contextlib.contextmanager
def page_of(root):
    """The address that `workbook page 01` prints; at the end it gets Ctrl-C."""
    process = subprocess.Popen(
        [WORKBOOK, "page", "01", "--port", "0"], cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def until(page, selector, words):
    page.locator(selector, has_text=words).first.wait_for(timeout=WAIT_MS)


def take(page, blank, name):
    """The page at both widths: written where pictures are taken, else compared with those that are kept."""
    page.emulate_media(color_scheme="light")
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        picture = page.screenshot(animations="disabled")
        path = Path(os.environ.get("WORKBOOK_PICTURES", KEPT)) / f"page-{name}-{size}.png"
        if "WORKBOOK_PICTURES" in os.environ:
            path.write_bytes(picture)
            continue
        both = [f"data:image/png;base64,{base64.b64encode(one).decode()}" for one in (picture, path.read_bytes())]
        assert blank.evaluate(COARSE, both) < DIFFERENT_MAX, path.name
    page.set_viewport_size(SIZES["desk"])


def test_lesson_01_from_the_stub_to_green(root):
    folder, answer = root / "lessons" / LESSON, root / "solutions" / LESSON
    with chromium() as browser, page_of(root) as address:
        page, blank = browser.new_page(), browser.new_page()
        page.goto(address)
        until(page, "#status", "to do, step 1")
        loader = (answer / "loader.py").read_text()
        (folder / "loader.py").write_text(loader.replace("Message(int(found[1]),", "Message(int(found[1]) + 1,"))
        program = (answer / "hello_kprobe.bpf.c").read_text()
        (folder / "hello_kprobe.bpf.c").write_text(program)
        until(page, "#status", "a test is red, step 3")
        take(page, blank, "red")
        begin = program.index("{", program.index("hello_kprobe(")) + 1
        broken = f"{program[:begin]}{UNCHECKED}{program[begin:]}".replace(
            "\nint ", "\nBPF_HASH(seen, u32, u64);\n\nint ", 1
        )
        (folder / "hello_kprobe.bpf.c").write_text(broken)
        until(page, "#status", "does not compile, load or attach")
        until(page, "#verdict", "What the kernel knew")
        take(page, blank, "explained")
        (folder / "hello_kprobe.bpf.c").write_text(program)
        (folder / "loader.py").write_text(loader)
        until(page, "#status", "done")
        take(page, blank, "green")
        page.locator("button[data-ask=run]").click()
        until(page, "#output", "calls of execve")
        until(page, "#end", "exit status 0")
        page.goto(page.url + "course")
        take(page, blank, "overview")
