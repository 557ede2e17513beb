"""Explanations from what was recorded in the lab (tests/evidence, tests/explain/logs): no guest is started."""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.course import catalog
from harness.explain import lines, registers, show, verifier
from harness.explain.evidence import Evidence, of_gathered, of_log
from harness.explain.explanation import explain
from harness.explain.rules import rules
from harness.guest.observing.gather import take_apart
from harness.protocol.codec import build
from harness.protocol.facts import Facts, Gathered
from harness.protocol.messages import Reported
from harness.run import verdict
from harness.run.request import of_lesson

TESTS = Path(__file__).resolve().parent
LOGS = tomllib.loads((TESTS / "explain" / "corpus.toml").read_text())["log"]
NEWER = """\
0: R1=ctx() R10=fp0
0: (95) exit
R0 !read_ok

Verification failed: Register Type Safety: Unreadable register

Reason:
  R0 has never been initialized on this path, so the verifier cannot use it as an input.

At:
  insn 0
        | ^-- error: R0 is not readable
  Instruction context:
  >>> 0 | (95) exit

Causal path:
  no retained diagnostic events on this path

Suggestion:
  Initialize R0 on every path before this instruction.

processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def gathered(name):
    """What was gathered in the lab of a program."""
    return build(Gathered, json.loads((TESTS / "evidence" / f"{name}.json").read_text()))


def recorded(name):
    """The explanation of a program whose evidence was recorded in the lab."""
    found = gathered(name)
    return explain(of_gathered(found, {Path(found.path): found.source}))


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [
        ("unchecked", "null-check", 11),
        ("undeclared", "unknown-name", 7),
        ("unreleased", "reference-leak", 5),
        ("wide_index", "out-of-bounds", 10),
        ("large_array", "stack-size", 4),
        ("short_packet", "packet-bounds", 6),
    ],
)
def test_a_recorded_failure_is_recognised_at_the_learners_line(name, rule, line):
    found = recorded(name)
    assert (found.rule, found.line) == (rule, line)
    assert found.path == Path(f"/lesson/{name}.bpf.c")


@pytest.mark.parametrize("entry", LOGS, ids=lambda entry: entry["file"])
def test_a_log_alone_is_recognised(entry):
    found = explain(of_log((TESTS / "explain" / entry["file"]).read_text()))
    wanted = entry["rule"] if isinstance(entry["rule"], list) else [entry["rule"]]
    assert (found.rule or found.kind) in wanted


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("jump out of range from insn 3 to 9", "bcc-restriction"),
        ("R3 is not a known constant'", "helper-argument"),
        ("helper call might sleep in a non-sleepable prog", "helper-not-allowed"),
        ("sleepable helper bpf_copy_from_user#148 in non-sleepable prog", "helper-not-allowed"),
        ("Possibly NULL pointer passed to trusted arg0", "null-check"),
        ("invalid unbounded variable-offset indirect access to stack R1", "out-of-bounds"),
        ("invalid read from stack R10 off=-520 size=8", "out-of-bounds"),
        ("invalid read from stack off -16+0 size 8", "uninitialised"),
        ("combined stack size of 2 calls is 544. Too large", "stack-size"),
        ("stack depth 520 too large", "stack-size"),
    ],
)
def test_words_of_the_verifier(message, rule):
    """Messages of kernel/bpf/verifier.c, Linux 5.10 to 6.12, that the lab's programs seldom meet."""
    log = f"0: R1=ctx() R10=fp0\n0: (bf) r6 = r1\n1: (79) r1 = *(u64 *)(r6 +104)\n{message}\nprocessed 2 insns"
    assert explain(of_log(log)).rule == rule


def test_a_field_taken_the_wrong_way():
    said = (
        "/virtual/main.c:3:24: error: member reference type 'struct process' is not a pointer; did you mean to use '.'?"
    )
    assert explain(of_log(said + "\n")).cause.startswith("A field is taken the wrong way: through a pointer")


@pytest.mark.parametrize(("macro", "advice"), [("TRACEPOINT_PROBE(a, b)", "Write args"), ("int f(void *x)", "Fix")])
def test_a_tracepoints_context_is_called_args(macro, advice):
    own = f"{macro}\n{{\n    events.perf_submit(ctx, 0, 0);\n}}\n"
    said = "/virtual/main.c:3:24: error: use of undeclared identifier 'ctx'\n"
    found = explain(Evidence(stage="compile", text=said, file=Path("a.py"), path=Path("a.bpf.c"), own=own))
    assert found.advice.startswith(advice)


@pytest.mark.parametrize(
    ("argument", "type", "advice"),
    [
        ("PT_REGS_PARM2_SYSCALL(call)", "'unsigned long'", "Pass the place: &PT_REGS_PARM2_SYSCALL(…)."),
        ("PT_REGS_PARM1(ctx)", "'unsigned long'", "(void *)PT_REGS_PARM1(ctx)."),
        ("id", "'u64' (aka 'unsigned long long')", "Put & before a variable whose place is meant"),
    ],
)
def test_a_number_where_an_address_is_wanted(argument, type, advice):
    """As clang 19 says it in the lab."""
    log = f"""\
/virtual/main.c:6:49: error: incompatible integer to pointer conversion passing {type} to parameter
    6 |     bpf_probe_read_user_str(name, sizeof(name), {argument});
      |                                                 ^
1 error generated.
"""
    found = explain(of_log(log))
    assert found.rule == "helper-argument"
    assert advice in found.advice


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("map_ptr", "a map"),
        ("ctx, trusted_ptr_", "the context that the program is called with or trusted_ptr_"),
        (
            "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
            "the address of something that the program may read: a variable of its own, a map's key or value and so on",
        ),
    ],
)
def test_what_a_helper_expects_is_shown_in_few_words(wanted, words):
    log = f"0: (b7) r3 = 0  ; R3_w=0\nR3 type=scalar expected={wanted}\nprocessed 1 insns (limit 1000000)\n"
    assert explain(of_log(log)).cause.endswith(f"a number, where it needs {words}.")


def test_the_newer_form_has_its_reason_and_its_suggestion():
    found = explain(of_log(NEWER))
    assert found.rule == "uninitialised"
    assert found.message == "R0 !read_ok"
    assert found.known == ("R0 has never been initialized on this path, so the verifier cannot use it as an input.",)
    assert found.advice.endswith("Initialize R0 on every path before this instruction.")


def test_bounds_are_shown_in_words():
    assert recorded("wide_index").known == (
        "R6 is an address inside a map's value (map n) of 64 bytes, from 0 to 120 further on",
    )


def test_no_register_is_blamed_if_the_verifier_gave_up():
    log = """\
172: (af) r4 ^= r3                    ; R3=29920 R4_w=30004
173: (57) r4 &= 63
BPF program is too large. Processed 1000001 insn
processed 1000001 insns (limit 1000000) max_states_per_insn 4 total_states 29417 peak_states 59 mark_read 11
"""
    refusal = verifier.read(log)
    assert refusal.message == "BPF program is too large. Processed 1000001 insn"
    assert registers.in_words(refusal) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("scalar()", "a number; nothing is known of its value"),
        ("scalar(smin=smin32=0,smax=umax=smax32=umax32=15,var_off=(0x0; 0xf))", "a number, from 0 to 15"),
        ("invP(id=0,umax_value=255,var_off=(0x0; 0xff))", "a number, from 0 to 255"),
        (
            "map_value_or_null(id=1,map=counts,ks=4,vs=8)",
            "an address inside a map's value, or NULL (map counts) of 8 bytes",
        ),
        ("pkt(off=14,r=14)", "an address inside the packet, 14 bytes in, of which 14 bytes are known to be there"),
        ("0x10", "the number 16"),
    ],
)
def test_a_registers_state_in_words(state, words):
    assert registers.describe(state) == words


def test_the_place_has_the_caret_below_it():
    body = show.body(recorded("undeclared")).splitlines()
    at = body.index("7 | return undefined_name;")
    assert body[at + 1].index("^") == body[at].index("undefined_name")


def test_an_unknown_error_is_shown_with_its_line():
    found = explain(
        of_log("0: (b7) r0 = 0  ; R0_w=0\nthe moon is in the wrong house\nprocessed 1 insns (limit 1000000)\n")
    )
    assert (found.kind, found.rule) == ("unknown", "")
    assert found.message == "the moon is in the wrong house"


def test_the_whole_log_is_kept():
    assert "total_states 1 peak_states 1 mark_read 1" in recorded("wide_index").log


def test_a_line_that_bcc_rewrote_is_found_by_its_text():
    own = "int f()\n{\n    value = counts.lookup(&key);\n    return 0;\n}\n"
    made = "#x\nint f()\n{\n\n    value = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -1), &key);\n    return 0;\n}\n"
    assert lines.aligned(made, own) == {2: 1, 3: 2, 5: 3, 6: 4, 7: 5}


def test_a_message_on_the_instructions_own_row_is_seen():
    log = "13: (15) if r1 == 0x0 goto pc-2 infinite loop detected at insn 12\ncur state: R0=0\nprocessed 43 insns\n"
    assert verifier.read(log).message == "infinite loop detected at insn 12"
    assert verifier.read(log).instruction == 12


def test_a_debugging_compile_is_taken_apart():
    printed = (
        "Running from kernel directory at: /lib\nclang -cc1 -x c /virtual/main.c\nmain.c: warning\n"
        "#if defined(BPF_LICENSE)\nint f;\n#include <bcc/footer.h>\n"
        "Disassembly of function f\n; int f; // Line  2\n   0:\tb7 00 00 00 00 00 00 00 \tr0 = 0\n\nlast words\n"
    )
    text, rewritten, listings = take_apart(printed)
    assert text == "main.c: warning\nlast words\n"
    assert rewritten == "#if defined(BPF_LICENSE)\nint f;\n#include <bcc/footer.h>\n"
    assert list(listings) == ["f"]


def test_each_rule_names_a_page_that_is_there():
    for rule in rules():
        page, _, anchor = rule.page.partition("#")
        text = (TESTS.parent / page).read_text()
        assert not anchor or f"\n## {anchor}\n" in text, rule.page


def test_the_page_explains_each_class():
    told = set(re.findall(r"^## (\S+)$", (TESTS.parent / "docs" / "explain.md").read_text(), re.MULTILINE))
    assert {rule.id for rule in rules()} == told


def test_a_missing_field_of_a_tracepoint_is_at_its_use():
    own = (TESTS / "explain" / "opened_files.bpf.c").read_text()
    log = (TESTS / "explain" / "logs" / "r12.log").read_text()
    path = Path("/lesson/opened_files.bpf.c")
    found = explain(of_gathered(Gathered(file=str(path), stage="compile", status=1, text=log, source=own), {path: own}))
    assert (found.rule, found.line, found.column) == ("unknown-field", 15, 67)


@pytest.fixture
def lesson(course):
    """The small lesson, with a program that the kernel refuses."""
    course.write("small.bpf.c", gathered("unchecked").source)
    course.write("test_small.py", "import pytest\n@pytest.mark.step(1)\ndef test_act(loader): pass\n")
    return catalog.load(course.root / "lessons" / "90-small")


def refused(lesson, printed="", **changed):
    """The verdict on a test that failed because the program of `lesson` was refused."""
    path = str(lesson.folder() / "small.bpf.c")
    found = replace(gathered("unchecked"), file=path, path=path, **changed)
    (nodeid,) = (request := of_lesson(lesson, "lessons")).functions
    facts = Facts(exception="Exception", message=found.message, gathered=found)
    report = Reported(nodeid=nodeid, when="call", outcome="failed", duration=0, facts=facts)
    return verdict.of(report, request, printed)


def test_the_verdict_on_a_refused_program_is_at_its_line(lesson):
    found = refused(lesson)
    assert (found.kind, found.place) == ("broken", "lessons/90-small/small.bpf.c:11")
    assert found.text.startswith("This uses a pointer that may be NULL")
    assert "processed 7 insns" in found.log


def test_a_failure_that_did_not_recur_is_explained_by_its_log(lesson):
    found = refused(lesson, gathered("unchecked").text, status=0)
    assert (found.kind, found.place) == ("broken", "lessons/90-small/small.bpf.c:11")


def test_a_process_that_the_compiler_ended_is_the_programs_fault(lesson):
    printed = "error: /virtual/main.c:0:0: in function on_sync i32 (ptr): Looks like the BPF stack limit is exceeded.\n"
    request = of_lesson(lesson, "lessons")
    assert verdict.of_death("the code ended its own process", request, printed).kind == "broken"
    assert verdict.of_death("the code ended its own process", request, "").kind == "red"


@pytest.mark.parametrize(
    ("words", "kind"),
    [("the following arguments are required: view", "run"), ("unrecognized arguments: --wide", "unknown")],
)
def test_a_scripts_usage_message_is_shown(words, kind):
    text = f"usage: tool.py [-h] view\ntool.py: error: {words}\n"
    said = Gathered(file="/t/tool.py", stage="run", status=1, text=text, exception="SystemExit", message="2")
    found = explain(of_gathered(said, {Path("/t/tool.py"): ""}))
    assert (found.kind, found.message) == (kind, f"tool.py: error: {words}")
