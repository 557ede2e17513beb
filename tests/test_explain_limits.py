"""Whatever a guest, a log or a learner's file says is answered soon: the worst inputs for patterns and comparisons."""

import contextlib
import json
import random
import re
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest

from harness.explain import limits, lines, near, places, registers, scripts, stack, verifier
from harness.explain.evidence import Evidence, of_gathered, of_log, stage_of
from harness.explain.explanation import explain
from harness.explain.finding import Finding, bounded, find
from harness.explain.rules import rules
from harness.protocol.codec import build
from harness.protocol.facts import Gathered, Symbols
from harness.protocol.shorten import shortened

ANSWER_S = 2
"""Seconds of processor time that an answer may take, on a slow machine too."""
SEARCH_S = 0.2
"""The same for one search of one rule's pattern; an answer tries some 80 of them."""
PLACES_S = 0.5
"""The same for the places of one fault."""
HERE = Path(__file__).resolve().parent
LOGS = sorted((HERE / "explain" / "logs").iterdir())
C = Path("/lesson/a.bpf.c")
ERROR = "/virtual/main.c:1:1: error: "
NINES = "9" * 5_000
FILLERS = ("a", "_", "7", ",", " ", "{", "(", ")", "'", ";", "\n", "a ", "a(", "a[", "a\n", "}\n", "²", "*/")
REFUSED = "0: (95) exit\n{}\nprocessed 1 insns (limit 1000000)\n"


@contextlib.contextmanager
def soon(limit_s=ANSWER_S):
    began = time.process_time()
    yield
    took_s = time.process_time() - began
    assert took_s < limit_s


def compiled(said, own="", rewritten=""):
    return Evidence(stage="compile", text=said, file=C, path=C, own=own, rewritten=rewritten)


def refused(said, **more):
    text = REFUSED.format(said)
    return Evidence(stage="load", text=text, file=C, path=C, log=text, **more)


def peeled(size):
    """Two texts whose equal parts difflib finds one by one, from one end: cubic time."""
    return ("xy" * size)[:size], ("xz" * size)[:size]


def peeled_lines(count):
    return tuple("\n".join(text) for text in peeled(count))


def hostile(words, size):
    """Long texts out of what a pattern looks for: repeated, and followed by much that does not end the match."""
    for word in words:
        yield from ((word * size)[:size], word + "a" * size)
        for filler in FILLERS:
            yield (word + filler * (size // len(filler)))[:size]
            yield ((word + filler) * (size // len(word + filler) + 1))[:size]


def words_of(pattern):
    """The words in a pattern, singly, and as one text that almost matches."""
    found = re.findall(r"[A-Za-z_#'=][\w '#=]*[\w'= ]", re.sub(r"\(\?P<\w+>|\\[a-zA-Z]", "(", pattern.pattern))
    return {*found, " ".join(found[:3])} - {""}


SEEN = {"says": (limits.message, 1_000), "line": (limits.line, 500), "code": (limits.line, 500)}
WHOLE = {"text": (lambda text: shortened(text, limits.TEXT_MAX), 1 << 18)}
PATTERNS = [
    pytest.param(name, pattern, id=f"{number}-{rule.id}-{name}")
    for number, rule in enumerate(rules())
    for name in (field.name for field in fields(rule))
    if isinstance(pattern := getattr(rule, name), re.Pattern)
]


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
def test_a_rules_pattern_is_soon_through(name, pattern):
    cut, size = (SEEN | WHOLE).get(name, (limits.source, 64 << 10))
    for text in hostile(words_of(pattern) or {"a"}, size):
        with soon(SEARCH_S):
            pattern.search(cut(text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_a_long_message_is_explained_soon(rule):
    long = [
        text
        for word in words_of(rule.says or rule.seen or rule.warning or rule.text)
        for text in ((word * 200_000)[:200_000], word + "a" * 200_000)
    ]
    own = "\n".join(["int f(void *ctx)", "{", *["    a->b = c;"] * 500, "}"])
    for text in long[:6]:
        evidence = compiled(ERROR + text, own) if "compile" in rule.stage else refused(text, own=own)
        with soon():
            explain(evidence)


@pytest.mark.parametrize(
    "text",
    [
        ERROR + "a" * 32_000,
        ERROR + "use of undeclared identifier '" + "a" * 55_000 + "'",
        ERROR + "incomplete type 'struct tracepoint__" + "_" * 55_000,
        f"/virtual/include/{'a/' * 20_000}b.h:1:1: error: x\nIn file included from /virtual/main.c:{NINES}:\n",
        "0: R0=scalar(" + "," * 200_000 + ")\n" + REFUSED.format("R0 !read_ok"),
        "0: R0=scalar(" + "(" * 200_000 + ")\n" + REFUSED.format("R0 !read_ok"),
        "0: R0=" + "a" * 200_000 + "\n" + REFUSED.format("R0 !read_ok"),
        "0: " + "R0=a(" * 50_000 + "\n" + REFUSED.format("R0 !read_ok"),
        REFUSED.format("; @ a:1" * 30_000),
        REFUSED.format("R0 !read_ok " * 20_000),
        REFUSED.format("goto pc+" + "1" * 200_000),
        REFUSED.format("stack depth 1" + "+1" * 100_000 + "x"),
        "Verification failed: x\n\nReason:\n" + " " * 200_000 + "\n" + REFUSED.format(""),
        "error: " + "in function " * 20_000,
        "error: in function " + "a" * 200_000,
        "could not open bpf map: " * 10_000,
        "a." * 100_000 + "Error: x",
        "bpf: " + "a" * 200_000,
    ],
    ids=lambda text: re.sub(r"\W+", "-", text[:24]) + str(len(text)),
)
@pytest.mark.parametrize("own", ["", "int f(void *ctx)\n{\n    return a;\n}\n"], ids=["log", "own"])
def test_a_long_line_is_explained_soon(text, own):
    with soon():
        evidence = of_log(text)
        explain(replace(evidence, file=C, path=C, own=own, rewritten=own))


@pytest.mark.parametrize("filler", FILLERS, ids=ascii)
def test_a_log_of_one_sign_is_explained_soon(filler):
    for text in (filler * (limits.TEXT_MAX // len(filler)), REFUSED.format(filler * 300_000)):
        with soon():
            explain(of_log(text))


@pytest.mark.parametrize(
    "own",
    [
        "a" * 300_000,
        "int " + "a" * 55_000 + ";",
        "}\n" * 20_000,
        "struct a {\n" * 20_000,
        "struct a { " * 20_000,
        "struct a b;\n" * 20_000,
        "a[" * 100_000,
        "struct a {" + "a[" * 100_000 + "}",
        "return " * 20_000,
        "return" + " \n" * 20_000,
        "static int f(int x)\n{\n" * 5_000,
        "static(\n" * 20_000,
        "static " + "a(" * 20_000 + ") {" + "a " * 20_000,
        "static " + "a(\n" * 20_000 + ") {" + "a\n" * 20_000,
        "/*" * 50_000,
        "#define " * 20_000,
        "#define a" + "\n" * 20_000,
        '"' * 100_001,
        "BPF_A( " * 20_000,
        "A_PROBE" * 20_000,
        "TRACEPOINT_PROBE(a," * 20_000,
        peeled_lines(20_000)[1],
        "\n".join(peeled(490)[1] + str(number) for number in range(2_000)),
        " ".join(peeled(90)[1] + str(number) for number in range(2_000)),
    ],
    ids=lambda own: re.sub(r"\W+", "-", own[:12]) + str(len(own)),
)
@pytest.mark.parametrize(
    "said",
    [
        "use of undeclared identifier '{}'",
        "call to undeclared function '{}'",
        "unknown type name '{}'",
        "no member named '{}' in 'a'",
        "incomplete type 'struct tracepoint__a__{}'",
        "expected expression",
    ],
)
def test_an_own_text_of_any_kind_is_explained_soon(said, own):
    name = peeled(90)[0]
    text = f"{ERROR}{said.format(name)}\n    1 | {peeled(490)[0]}\n"
    with soon():
        explain(compiled(text, own, peeled_lines(20_000)[0]))


@pytest.mark.parametrize(
    "said",
    ["At program exit the register R0", "unknown opcode", "program is too large", "func#1 @0", "R0 !read_ok"],
)
def test_an_own_text_is_searched_soon_by_each_rule(said):
    for own in hostile(("return", "static a(", "static a() {", "for", "kstrto", "str"), 200_000):
        with soon():
            explain(refused(said, own=own, program="a" * 100_000))


SAID = (
    "R1 no member named 'a' in 'struct a'", "function 'printf'", "expected ';' after x", "bpf_a#1",
    "function definition is not allowed here", "expected '(' after 'if'", "KeyError: 'a'", "kprobe b'a'",
    "has no attribute 'a'", "R1 type=fp expected=ctx", "'a' 'b' 'c' " * 80,
)  # fmt: skip
ROWS = (
    "    if (a)\n", "    while (a <= a) {\n", "int a(int a)\n{\n", "#define a(a) 1\n", "struct a { char a[9]; };\n",
    "int a = *a * a[a] + a->a;\n", "    return a(a, &a, a);\n", "BPF_HASH(a, struct a, a, a)\n", "a(event=a, sym=a)\n",
    f"    if {' ' * 490}\n", f"{'(' * 490}\n", f"a{' *' * 240}\n", f"{'a->' * 160}a\n",
)  # fmt: skip


@pytest.mark.parametrize("row", [*ROWS, *FILLERS], ids=ascii)
@pytest.mark.parametrize("rule", sorted({*places.LOOKS, *scripts.LOOKS}))
def test_the_places_of_any_text_are_found_soon(rule, row):
    own = limits.source(row * (limits.OWN_MAX // len(row)))
    count = max(1, len(own.splitlines()))
    script = C.with_name("a.py")
    evidence = replace(compiled("", own), files={script: own})
    for said in SAID:
        for path in (C, script):
            finding = Finding(said[: limits.MESSAGE_MAX], path, count, 1, code="(85) call bpf_a#1")
            with soon(PLACES_S):
                places.of(rule, evidence, finding)


def test_many_instructions_without_lines_are_searched_soon():
    row, other = peeled(80)
    own = "int f()\n" + "".join(f"{other}{number}\n" for number in range(700))
    rewritten = "".join(f"{row} {number}\n\n" for number in range(700)) + "int f()\n"
    listed = {number: min(number, 1_401) for number in range(1, 100_000)}
    log = "99999: (95) exit\nR0 !read_ok\nprocessed 1 insns\n"
    with soon():
        given = Evidence(
            stage="load", text=log, file=C, path=C, own=own, rewritten=rewritten, log=log, program="f", lines=listed
        )
        found = find(bounded(given))
    assert found.line == 1


def test_a_stack_is_measured_soon():
    own = "int f()\n{\n" + "struct a b;\n" * 1_900 + "#define A 1\n" + "struct a { int x[4];" * 2_000
    with soon():
        stack.largest(limits.source(own), 1)
    with soon():
        text = "error: in function f: stack limit\n"
        explain(of_gathered(Gathered(file=str(C), stage="compile", status=1, source=own, text=text), {C: own}))


def test_two_long_texts_are_aligned_soon():
    for one, other in (peeled_lines(2_000), ("}\n" * 2_000, "}\n" * 1_999)):
        with soon():
            lines.aligned(one, other)


def test_two_texts_of_similar_lines_are_aligned_soon():
    rewritten = "\n".join(f"{peeled(490)[0]}{number}" for number in range(133))
    own = "\n".join(f"{peeled(490)[1]}{number}" for number in range(131))
    with soon():
        lines.aligned(limits.source(rewritten), limits.source(own))


def test_a_line_is_looked_for_soon():
    text, row = peeled(500)
    with soon():
        lines.by_text(text, limits.source(f"{row}\n" * 2_000))


def test_a_name_is_looked_for_soon():
    name = peeled(90)[0]
    known = tuple("".join(random.Random(number).sample(name, 90)) for number in range(5_000))
    with soon():
        near.near(name, Evidence(stage="attach", text="", symbols=Symbols(near=known)), "symbol-not-found")


@pytest.mark.parametrize("rows", [["    x;", "    y;", "    return 0;"], ["    a();", ""]])
def test_a_long_text_is_aligned_by_its_rare_lines(rows):
    own = "\n".join(line for number in range(300) for line in (f"int f{number}()", "{", *rows, "}"))
    made = "#error\n" + own.replace("int f150()", '__attribute__((section("f")))\nint f150()')
    found = lines.aligned(made, own)
    wanted = {number + 1 + (number > 150 * (3 + len(rows))): number for number in range(1, own.count("\n") + 2)}
    assert {at: number for at, number in found.items() if wanted.get(at) != number} == {}
    assert len(found) >= len(wanted) - 2


@pytest.mark.parametrize(
    "text",
    [
        "0: R0=007\n" + REFUSED.format("R0 !read_ok"),
        f"0: R0={NINES}\n" + REFUSED.format("R0 !read_ok"),
        f"0: R0=0x{'f' * 5_000}\n" + REFUSED.format("R0 !read_ok"),
        f"0: R{NINES}=1\n" + REFUSED.format(f"R{NINES} !read_ok"),
        f"{NINES}: (95) exit\nR0 !read_ok\nprocessed 1 insns\n",
        REFUSED.format(f"jump out of range from insn {NINES} to 9"),
        REFUSED.format(f"Unreleased reference id=1 alloc_insn={NINES}"),
        f"; return 0; @ a.c:{NINES}\n" + REFUSED.format("R0 !read_ok"),
        f"/virtual/main.c:{NINES}:1: error: x\n",
        f"/virtual/main.c:1:{NINES}: error: x\n",
        f"/virtual/a.h:1:1: error: x\nIn file included from /virtual/main.c:{NINES}:\n",
    ],
    ids=lambda text: re.sub(r"\W+", "-", text[:30]),
)
def test_an_odd_number_in_a_log_raises_nothing(text):
    explain(of_log(text))


@pytest.mark.parametrize(("state", "number"), [("007", 7), ("-0x10", -16), ("18446744073709551615", (1 << 64) - 1)])
def test_a_registers_number_is_read_by_its_prefix(state, number):
    assert registers.describe(state) == f"the number {number}"


@pytest.mark.parametrize("length", ["²", "010", "09", NINES, "0x", "0x" + "f" * 5_000])
def test_an_odd_array_length_raises_nothing(length):
    own = f"#define N {length}\nint f()\n{{\n    char a[{length}];\n    char b[N];\n    char c[8];\n}}\n"
    assert stack.largest(own, 2) in (4, 6)


def test_a_refused_instruction_is_named_by_its_whole_number():
    assert verifier.read("7: (95) exit\nunreachable insn 1234567890\nprocessed 1 insns\n").instruction == 7


def test_a_long_log_keeps_both_ends():
    text = "first\n" + "x" * 5_000 + "\nlast"
    found = shortened(text, 1_000)
    assert found.splitlines()[0] == "first"
    assert found.splitlines()[-1] == "last"
    assert "\n[… 4011 characters left out …]\n" in found
    assert len(found) < 1_100


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1_000])
def test_a_short_log_is_kept_whole(size):
    assert shortened("x" * size, 1_000) == "x" * size


def test_a_log_of_millions_of_characters_is_explained_by_its_end():
    rows = "".join(f"{number}: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()\n" for number in range(100_000))
    text = rows + "100000: (95) exit\nR0 !read_ok\nprocessed 100001 insns\n"
    with soon(2 * ANSWER_S):  # it is made out twice, of the whole and of both ends
        found = explain(of_log(text))
    assert (found.rule, found.message) == ("uninitialised", "R0 !read_ok")
    assert len(found.log) < limits.TEXT_MAX + 100


def test_lines_keep_their_numbers_in_a_bounded_text():
    own = "int a;\n" + "b" * 5_000 + "\r\nint c;\n"
    assert [len(row) for row in limits.source(own).splitlines()] == [6, 500, 6]


def test_each_line_that_is_shown_is_short():
    own = "x" * 5_000
    found = explain(bounded(compiled(f"{ERROR}unknown type name '{own}'\n    1 | {own}\n", own)))
    assert (len(found.source), len(found.message)) == (500, 1_000)


TEXTS = ("text", "log", "source", "rewritten", "message", "exception", "program")


def mutated(text, random):
    """`text` with another number in it, and up to three pieces removed, repeated, exchanged or put in."""
    numbers = [found.span() for found in re.finditer(r"\d+", text)]
    if numbers and random.random() < 0.5:
        at, end = random.choice(numbers)
        text = text[:at] + random.choice(("007", "0x", "-1", "²", NINES)) + text[end:]
    for _ in range(random.randint(1, 3)):
        at, end = sorted(random.choices(range(len(text) + 1), k=2))
        end = min(end, at + random.choice((1, 8, 200)))
        other = random.choice((
            "", text[at:end] * random.randint(2, 5), text[end : end + 40],
            random.choice(FILLERS) * random.randint(1, 50),
            random.choice(("0", "007", "9" * 30, "-1", "0x", "\x00", "\ud800", "\u2028", "٣", "%s", "{name}", "\\1")),
        ))  # fmt: skip
        text = text[:at] + other + text[end:]
    return text


def test_no_mutated_log_raises():
    source = random.Random(7)
    texts = [path.read_text() for path in LOGS]
    own = (HERE / "explain" / "opened_files.bpf.c").read_text()
    for _ in range(2_000):
        text = mutated(source.choice(texts), source)
        explain(of_log(text))
        if source.random() < 0.1:
            changed = mutated(own, source)
            rewritten = mutated(changed, source)
            stage = stage_of(text)
            explain(
                Evidence(
                    stage=stage, text=text, file=C, path=C, own=changed, rewritten=rewritten, log=text, program="f"
                )
            )


def test_no_mutated_evidence_raises():
    source = random.Random(11)
    for path in sorted((HERE / "evidence").glob("*.json")):
        found = build(Gathered, json.loads(path.read_text()))
        for _ in range(50):
            changed = replace(found, **{name: mutated(getattr(found, name), source) for name in TEXTS})
            evidence = of_gathered(changed, {Path(changed.path): changed.source})
            assert find(bounded(evidence)) is not None
            explain(evidence)
