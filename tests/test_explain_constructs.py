"""The places of faults in a construct: a helper's call, a loop, a size, a value that is returned; and in a script."""

import pytest
from test_explain_places import C, refused

from harness.explain.evidence import Evidence, of_log
from harness.explain.explanation import explain
from harness.protocol.facts import Frame

SCRIPT = C.with_name("watch.py")


def marked(found):
    """What is underlined."""
    column, width = found.mark
    return found.source[column - 1 : column - 1 + width]


def rows(found, own):
    """The rows of the one change."""
    (change,) = found.changes
    return [row.strip() for _, row in change.rows(own)]


LOOP = """\
#define ROUNDS 100000

int on_call(struct pt_regs *ctx)
{
    u64 sum = 0, limit = PT_REGS_PARM1(ctx);

    %s {
        u64 step = bpf_get_prandom_u32();
        sum += step;
    }
    return sum > 0;
}
"""


@pytest.mark.parametrize(
    ("head", "token", "since", "new"),
    [
        ("while (1)", "while", (), "for (int i = 0; i < 16; i++) {"),
        ("while (sum < limit)", "while", ("limit is known only when the program runs, line 5",),
         "for (int i = 0; i < 16 && (sum < limit); i++) {"),
        ("for (u32 n = 0; n < ROUNDS; n++)", "for", ("ROUNDS is 100000, line 1",),
         "for (u32 n = 0; n < ROUNDS && n < 16; n++) {"),
    ],
)  # fmt: skip
def test_a_loop_is_shown_at_its_head_and_gets_a_bound(head, token, since, new):
    own = LOOP % head
    found = refused(own, 9, "infinite loop detected at insn 12")
    assert (found.line, marked(found), rows(found, own)) == (7, token, [new])
    assert found.since == (since if "limit" not in head else found.since)


def test_a_loop_that_is_left_is_not_blamed():
    own = (LOOP % "while (1)").replace("return sum > 0;", "return sum > limit;")
    found = refused(own, 11, "infinite loop detected at insn 12")
    assert (found.line, found.changes) == (11, ())


@pytest.mark.parametrize(("count", "line"), [(9, 5), (3, 1)])
def test_many_conditions_are_shown_from_the_first_one_on(count, line):
    rows = "".join(f"    if (a[{n}])\n        sum += {n};\n" for n in range(count))
    own = f"int f(struct pt_regs *ctx)\n{{\n    char a[16];\n    int sum = 0;\n{rows}    return sum;\n}}\n"
    text = "bpf: Argument list too long. Program  too large (192 insns), at most 4096 insns\n"
    found = explain(Evidence(stage="load", text=text, file=C, path=C, own=own, program="f", errno=7))
    assert (found.rule, found.line) == ("too-many-instructions", line)


@pytest.mark.parametrize(
    ("row", "column", "message", "new"),
    [
        ("u32 pid = 1", 16, "expected ';' at end of declaration", "u32 pid = 1;"),
        ('bpf_trace_printk("a;b")', 28, "expected ';' after expression", 'bpf_trace_printk("a;b");'),
        ("if pid == 1:", 8, "expected '(' after 'if'", "if (pid == 1)"),
    ],
)
def test_what_does_not_parse_is_written_as_c(row, column, message, new):
    own = f"int f(void *ctx)\n{{\n    {row}\n    return 0;\n}}\n"
    text = f"/virtual/main.c:3:{column}: error: {message}\n    {row}\n{' ' * (column - 1)}^\n"
    found = explain(Evidence(stage="compile", text=text, file=C, path=C, own=own))
    assert rows(found, own) == [new]
    assert found.advice.endswith(new)


def test_a_block_that_nothing_closes_is_named():
    own = "int f(void *ctx)\n{\n    if (ctx) {\n        f(0);\n    return 0;\n}\n\nint g(void *ctx)\n{\n}\n"
    text = "/virtual/main.c:9:1: error: function definition is not allowed here\n{\n^\n"
    found = explain(Evidence(stage="compile", text=text, file=C, path=C, own=own))
    assert found.since == ("line 3 opens a block that nothing closes: if (ctx) {",)


def test_a_function_that_returns_nothing_gets_a_return():
    own = "int f(struct pt_regs *ctx)\n{\n    if (ctx)\n        g();\n}\n"
    assert rows(refused(own, 5, "R0 !read_ok"), own) == ["return 0;"]


HELPER = """\
int on_frame(struct xdp_md *ctx)
{
    char comm[16] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    return XDP_PASS;
}
"""


def test_a_helper_is_underlined_and_its_program_named():
    found = refused(HELPER, 5, "program of this type cannot use helper bpf_get_current_comm#16")
    assert (marked(found), found.since) == ("bpf_get_current_comm", ("on_frame is an XDP program, line 1",))


SUBMIT = """\
BPF_PERF_OUTPUT(ended);
TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u64 event = 0;

    ended.perf_submit(&event, &event, sizeof(event));
    return 0;
}
"""


def test_the_context_takes_the_place_of_another_argument():
    found = refused(SUBMIT, 6, "R1 type=fp expected=ctx")
    assert (marked(found), found.advice) == ("&event", "The context comes first: write args for &event here.")
    assert rows(found, SUBMIT) == ["ended.perf_submit(args, &event, sizeof(event));"]


@pytest.mark.parametrize(
    ("head", "given", "token", "new"),
    [
        ("KFUNC_PROBE(vfs_read)", "1", "1", ["return 0;"]),
        ("LSM_PROBE(task_kill, void *task)", "seen > 3", "seen > 3", ["if (seen > 3)", "return -1;", "return 0;"]),
    ],
)
def test_what_may_not_be_returned_is_underlined(head, given, token, new):
    own = f"{head}\n{{\n    u64 seen = 5;\n\n    return {given};\n}}\n"
    found = refused(own, 5, "At program exit the register R0 has smin=1 smax=1 should have been in [0, 0]")
    assert (marked(found), rows(found, own)) == (token, new)


@pytest.mark.parametrize(
    ("own", "token", "since"),
    [
        ("#define NONE 0\nBPF_HASH(last, u32, u64, NONE);\n", "NONE", ("NONE is 0, line 1",)),
        ("struct text {\n    char bytes[65536];\n};\nBPF_PERCPU_ARRAY(last, struct text, 1);\n", "struct text",
         ("struct text is declared in line 1: its bytes, line 2, has 65536 elements",)),
        ("BPF_RINGBUF_OUTPUT(last, 3);\n", "3", ()),
    ],
)  # fmt: skip
def test_the_size_that_a_map_may_not_have_is_underlined(own, token, since):
    text = "could not open bpf map: last, error: Invalid argument\nFailed to compile BPF module x.c\n"
    found = explain(Evidence(stage="compile", text=text, file=C, path=C, own=own))
    assert (marked(found), found.since) == (token, since)
    if token == "3":
        assert rows(found, own) == ["BPF_RINGBUF_OUTPUT(last, 4);"]


LARGE = """\
struct opened {
    u32 pid;
    char path[512];
};
BPF_PERF_OUTPUT(opens);

int on_open(struct pt_regs *ctx)
{
    struct opened event = {};

    event.pid = 1;
    bpf_get_current_comm(&event.path, sizeof(event.path));
    opens.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
"""


def test_a_large_variable_is_kept_in_a_map():
    text = "error: <unknown>:0:0: in function on_open i32 (ptr): Looks like the BPF stack limit is exceeded.\n"
    found = explain(Evidence(stage="compile", text=text, file=C, path=C, own=LARGE))
    assert (found.line, marked(found)) == (9, "event")
    assert found.since == ("event is a struct opened, line 1", "its path, line 3, has 512 elements")
    assert rows(found, LARGE) == [
        "BPF_PERCPU_ARRAY(room, struct opened, 1);", "", "int zero = 0;",
        "struct opened *event = room.lookup(&zero);", "if (!event)", "return 0;", "event->pid = 1;",
        "bpf_get_current_comm(&event->path, sizeof(event->path));",
        "opens.perf_submit(ctx, event, sizeof(*event));",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "token", "new"),
    [
        ("event.first = args->filename[0];", "args->filename",
         ["char copy = {};", "bpf_probe_read_user(&copy, sizeof(copy), &args->filename[0]);", "event.first = copy;"]),
        ("__builtin_memcpy(event.path, args->filename, 8);", "args->filename",
         ["bpf_probe_read_user(event.path, 8, args->filename);"]),
    ],
)  # fmt: skip
def test_what_a_tracepoints_field_points_to_is_copied(row, token, new):
    head = "TRACEPOINT_PROBE(syscalls, sys_enter_openat)"
    own = f"{head}\n{{\n    struct event event = {{}};\n    {row}\n    return 0;\n}}\n"
    found = refused(own, 4, "R1 invalid mem access 'scalar'")
    assert (marked(found), rows(found, own)) == (token, new)


def test_a_constants_copy_is_no_constant():
    path = "const char *path = (void *)PT_REGS_PARM1(ctx);"
    own = f"int f(struct pt_regs *ctx)\n{{\n    {path}\n\n    return *path == 1;\n}}\n"
    assert rows(refused(own, 5, "R1 invalid mem access 'scalar'"), own)[0] == "char copy = {};"


@pytest.mark.parametrize(
    ("script", "token", "line", "since"),
    [
        ('bpf.attach_kprobe(event="sys_opn", fn_name="f")\n', "sys_opn", 1, ()),
        ('NAME = b"sys_opn"\nbpf.attach_kprobe(\n    event=NAME,\n)\n', "NAME", 3,
         ('NAME comes from line 1: NAME = b"sys_opn"',)),
        ('def to(name):\n    bpf.attach_kprobe(event=name)\n\nto("sys_opn")\n', "name", 2,
         ('name comes from line 4: to("sys_opn")',)),
    ],
)  # fmt: skip
def test_the_name_that_is_not_there_is_underlined(script, token, line, since):
    first = next(n for n, row in enumerate(script.splitlines(), 1) if "attach_kprobe" in row)
    found = explain(
        Evidence(
            stage="attach", text="cannot attach kprobe, probe entry may not exist", exception="Exception",
            message="Failed to attach BPF program b'f' to kprobe b'sys_opn', it's not traceable",
            file=SCRIPT, path=C, own="int f(void *ctx) { return 0; }\n", files={SCRIPT: script, C: ""},
            frames=(Frame(path=str(SCRIPT), line=first, text=script.splitlines()[first - 1]),),
        )
    )  # fmt: skip
    assert (marked(found), found.line, found.since) == (token, line, since)


def test_several_functions_are_looked_for_by_their_name():
    log = "cannot attach kprobe, Cannot assign requested address\nException: Failed to attach to kprobe b't_next'\n"
    assert "grep -w t_next /proc/kallsyms" in explain(of_log(log)).advice
    assert "grep -w NAME /proc/kallsyms" in explain(of_log(log.splitlines()[0])).advice
