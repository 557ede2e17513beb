"""The three places of a fault: the token, where its value comes from, what to try, in the program's own names."""

from pathlib import Path

import pytest

from harness.explain import declared, places, show
from harness.explain.evidence import Evidence, of_log
from harness.explain.explanation import explain
from harness.protocol.facts import Frame, Symbols

C = Path("/lesson/naps.bpf.c")
END = "processed 9 insns (limit 1000000)\n"


def refused(own, line, message, **more):
    """What is said of `own` where the verifier refuses its line `line`."""
    row = own.splitlines()[line - 1].strip()
    log = f"; {row} @ main.c:{line}\n7: (79) r3 = *(u64 *)(r7 +0)\n{message}\n{END}"
    return explain(Evidence(stage="load", text=log, log=log, file=C, path=C, own=own, **more))


UNCHECKED = """\
BPF_HASH(started, u32, u64);

int on_wake(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 *since = started.lookup(&tid);

    bpf_trace_printk("%lld", bpf_ktime_get_ns() - *since);
    return 0;
}
"""


def test_a_pointer_that_may_be_null_is_underlined_and_traced():
    found = refused(UNCHECKED, 8, "R7 invalid mem access 'map_value_or_null'")
    body = show.body(found)
    row, under = body.splitlines()[2:4]
    assert (under.index("^"), under.strip()) == (row.index("since"), "^~~~~")
    assert found.since == ("since comes from started.lookup(&tid), line 6, and may be NULL",)
    assert "try: Before this line: if (!since) return 0;" in body


def test_a_pointer_from_a_function_of_ones_own_is_traced():
    own = UNCHECKED.replace("started.lookup(&tid)", "slot(tid)")
    found = refused(own, 8, "R7 invalid mem access 'map_value_or_null'")
    assert found.since == ("since comes from slot(tid), line 6, and may be NULL",)
    assert found.advice == "Before this line: if (!since) return 0;"


def test_a_void_function_returns_nothing():
    own = UNCHECKED.replace("int on_wake", "void on_wake").replace("    return 0;\n", "")
    assert "if (!since) return;" in refused(own, 8, "R7 invalid mem access 'map_value_or_null'").advice


def test_the_kernel_knows_a_variable_by_its_name():
    log = "R7 invalid mem access 'map_value_or_null'"
    own = UNCHECKED
    row = own.splitlines()[7].strip()
    text = f"; {row} @ main.c:8\n7: (bf) r7 = r0  ; R7_w=map_value_or_null(id=1,map=started,ks=4,vs=8)\n{log}\n{END}"
    found = explain(Evidence(stage="load", text=text, log=text, file=C, path=C, own=own))
    assert found.known == ("since (R7) is an address inside a map's value, or NULL (map started) of 8 bytes",)


INDEXED = """\
#define SLOTS 16
struct slots {
    u64 counts[SLOTS];
};
BPF_ARRAY(all, struct slots, 1);

int on_read(struct pt_regs *ctx)
{
    int zero = 0, slot = PT_REGS_PARM3(ctx) / 64;
    struct slots *slots = all.lookup(&zero);

    if (slots)
        slots->counts[slot]++;
    return 0;
}
"""
OUTSIDE = "R0 unbounded memory access, make sure to bounds check any such access"


def test_an_index_is_bounded_by_the_arrays_own_length():
    found = refused(INDEXED, 13, OUTSIDE)
    assert found.rule == "out-of-bounds"
    assert found.since == ("counts has SLOTS elements, line 3",)
    assert "if (slot >= SLOTS) return 0;" in found.advice
    assert "counts[slot & (SLOTS - 1)]" in found.advice


def test_a_check_that_is_there_is_not_advised_again():
    own = INDEXED.replace("    if (slots)", "    if (slots && slot < SLOTS)")
    found = refused(own, 13, OUTSIDE)
    assert "compared in line 12" in found.since[0]
    assert "asm volatile" in found.advice


PACKET = """\
int on_frame(struct xdp_md *ctx)
{
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = (void *)(long)ctx->data;

    return eth->h_proto == 8 ? XDP_DROP : XDP_PASS;
}
"""


def test_a_header_is_compared_with_the_programs_own_end():
    found = refused(PACKET, 6, "invalid access to packet, off=12 size=2, R3(id=0,off=12,r=0)")
    assert found.advice == "Before this line: if ((void *)(eth + 1) > end) return XDP_PASS;"


def test_a_packets_end_is_taken_from_the_context():
    own = PACKET.replace("    void *end = (void *)(long)ctx->data_end;\n", "")
    found = refused(own, 5, "invalid access to packet, off=12 size=2, R3(id=0,off=12,r=0)")
    compare = "if ((void *)(eth + 1) > (void *)(long)ctx->data_end) return XDP_PASS;"
    assert found.advice == f"Before this line: {compare}"
    assert [change.rows(own) for change in found.changes] == [[(5, f"    {compare}")]]


UNSET = """\
struct key { u32 pid; u64 slot; };
BPF_HASH(seen, struct key, u64);

int on_read(struct pt_regs *ctx)
{
    struct key key;

    key.pid = 1;
    seen.lookup(&key);
    return 0;
}
"""


def test_a_structure_with_gaps_is_set_where_it_is_declared():
    found = refused(UNSET, 9, "invalid indirect read from stack R2 off -16+4 size 16")
    assert (found.rule, found.since) == ("uninitialised", ("key is declared in line 6, with no value",))
    assert found.advice.startswith("Line 6: struct key key = {};")


NARROW = """\
BPF_HASH(opening, u64, u64);

int on_exit(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    opening.delete(&pid);
    return 0;
}
"""
WARNED = """\
/virtual/main.c:7:20: warning: incompatible pointer types passing '{}' to parameter of type 'u64 *'{}
    7 |     opening.delete(&pid);
      |                    ^~~~
1 warning generated.
"""
READ = "invalid indirect read from stack R2 off -4+4 size 8"


def test_a_key_of_another_size_is_told_from_the_declarations():
    found = refused(NARROW, 7, READ)
    assert found.rule == "key-size"
    assert "pid is of type u32 (4 bytes, line 5), and opening was declared with a key of type u64 (8" in found.cause
    assert found.advice.startswith("Line 5: u64 pid;")


@pytest.mark.parametrize(
    ("got", "more", "rule", "word"),
    [("u32 *", "", "key-size", "u32 *"), ("u64 **", "; remove &", "helper-argument", "One & too many")],
)
def test_the_compilers_warning_at_the_line_comes_first(got, more, rule, word):
    text = WARNED.format(got, more)
    log = f"; opening.delete(&pid); @ main.c:7\n7: (85) call bpf_map_delete_elem#3\n{READ}\n{END}"
    own = NARROW.replace("u32 pid", "u64 *pid") if "**" in got else NARROW.replace("u32 pid", "typed pid")
    found = explain(Evidence(stage="load", text=text + log, log=log, file=C, path=C, own=own))
    assert found.rule == rule
    assert word in found.cause


def test_a_warning_at_another_line_is_passed_over():
    text = WARNED.format("u32 *", "").replace(":7:20:", ":5:9:").replace("opening.delete(&pid)", "u32 pid = other();")
    log = f"; opening.delete(&pid); @ main.c:7\n7: (85) call bpf_map_delete_elem#3\nR2 !read_ok\n{END}"
    own = NARROW.replace("u32 pid", "typed pid")
    assert explain(Evidence(stage="load", text=text + log, log=log, file=C, path=C, own=own)).rule == "uninitialised"


def test_advice_never_repeats_what_the_line_does():
    row = "    bpf_probe_read_kernel(&a, 8, (void *)PT_REGS_PARM2_SYSCALL(c));"
    own = f"int syscall__f(struct pt_regs *ctx)\n{{\n{row}\n}}\n"
    found = refused(own, 3, "R3 invalid mem access 'scalar'")
    assert "&PT_REGS_PARM2_SYSCALL(…)" in found.advice
    assert not found.advice.startswith("Copy it first")


def test_a_near_miss_comes_from_that_record_alone():
    own = "struct one { u32 pid; };\nstruct other { u32 pids; };\n"
    said = "/virtual/main.c:9:9: error: no member named 'pidz' in 'struct other'\n"
    found = explain(Evidence(stage="compile", text=said, file=C, path=C, own=own))
    assert found.cause == "struct other has no field pidz; did you mean pids?"


def test_a_field_that_is_no_data_loc_is_named():
    record = "struct tracepoint__syscalls__sys_enter_openat"
    own = f"{record} {{ const char *filename; int data_loc_x; }};\n"
    said = f"/virtual/main.c:9:9: error: no member named 'data_loc_filename' in '{record}'\n"
    found = explain(Evidence(stage="compile", text=said, file=C, path=C, own=own))
    assert found.cause.endswith("did you mean filename?")


@pytest.mark.parametrize(
    ("text", "key", "leaf"),
    [
        ("BPF_HASH(a);", "u64", "u64"),
        ("BPF_HASH(a, u32);", "u32", "u64"),
        ("BPF_HASH(a, struct key, struct leaf, 99);", "struct key", "struct leaf"),
        ("BPF_ARRAY(a, u64, 4);", "int", "u64"),
        ('BPF_TABLE("lru_hash", u32, u64, a, 99);', "u32", "u64"),
        ("BPF_QUEUE(a, struct leaf, 99);", "", "struct leaf"),
        ("BPF_HISTOGRAM(a, struct key);", "struct key", "u64"),
    ],
)
def test_a_maps_declaration_is_read(text, key, leaf):
    found = declared.maps(text)["a"]
    assert (found.key, found.leaf) == (key, leaf)


def test_two_candidates_are_none():
    own = UNCHECKED.replace("- *since", "- *since - *other").replace(
        "    u64 *since", "    u64 *other = started.lookup(&tid);\n    u64 *since"
    )
    found = refused(own, 9, "R7 invalid mem access 'map_value_or_null'")
    assert found.since == ()
    assert places.narrow(own, 9) is None


def test_an_unknown_tracepoint_is_at_its_line_of_the_c_text():
    own = "#include <linux/sched.h>\n\nTRACEPOINT_PROBE(sched, sched_new)\n{\n    return 0;\n}\n"
    loader = Path("/lesson/loader.py")
    words = "Failed to attach BPF program b'tracepoint__sched__sched_new' to tracepoint b'sched:sched_new'"
    given = Evidence(
        stage="attach", text="", file=loader, path=C, own=own, files={loader: "", C: own}, exception="Exception",
        message=words, frames=(Frame(path=str(loader), line=82),), symbols=Symbols(
            asked=True, near=("sched:sched_waking", "sched:sched_wakeup_new", "sched:sched_switch")
        ),
    )  # fmt: skip
    found = explain(given)
    assert (found.rule, found.path, found.line) == ("tracepoint-unknown", C, 3)
    assert found.cause == "This kernel has no tracepoint sched:sched_new; did you mean sched:sched_wakeup_new?"


def test_a_log_alone_names_its_variables():
    log = """\
; u64 *since = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -1), &tid); @ main.c:40
7: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,map=started,ks=4,vs=8)
; took = bpf_ktime_get_ns() - *since; @ main.c:44
8: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 8 insns (limit 1000000)
"""
    found = explain(of_log(log))
    assert found.since == ("since comes from bpf_map_lookup_elem(started, &tid), line 40, and may be NULL",)
    assert found.known == ("since (R0) is an address inside a map's value, or NULL (map started) of 8 bytes",)
    assert found.advice == "Before this line: if (!since) return 0;"


def test_a_sum_without_its_base_is_not_advised_to_be_copied():
    own = """\
int on_frame(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    u64 skip = sizeof(struct ethhdr);
    struct iphdr *ip = (void *)(skip + 9);

    return ip->protocol;
}
"""
    log = "; return ip->protocol; @ main.c:7\n7: (b7) r1 = 32  ; R1_w=32\n8: (71) r0 = *(u8 *)(r1 +0)\n"
    log += f"R1 invalid mem access 'scalar'\n{END}"
    found = explain(Evidence(stage="load", text=log, log=log, file=C, path=C, own=own))
    assert found.cause.startswith("This follows the number 32, a small number that is no address")
    assert found.since == ("ip is set in line 5, to (void *)(skip + 9)",)
    assert found.advice.startswith("Add the offset to an address: (void *)data + offset")


def test_an_unknown_type_is_underlined_where_it_stands():
    log = """\
/virtual/main.c:7:11: error: expected ';' after expression
    7 |     uint32 uid = 1;
      |           ^
      |           ;
/virtual/main.c:7:5: error: use of undeclared identifier 'uint32'
"""
    found = explain(of_log(log))
    assert (found.rule, found.mark) == ("unknown-type", (5, 6))


def test_a_helpers_length_is_bounded_by_the_array_it_fills():
    own = """\
struct event {
    char bytes[64];
};

int on_write(struct pt_regs *ctx, const char *buf, long count)
{
    struct event event = {};

    bpf_probe_read_user(event.bytes, count, buf);
    return 0;
}
"""
    found = refused(own, 9, "R2 min value is negative, either use unsigned or 'var &= const'")
    assert found.since == ("bytes has 64 elements, line 2",)
    assert found.advice.startswith("Before this line: if (count > sizeof(event.bytes)) count = sizeof(event.bytes);")


def test_a_variable_goes_with_its_own_size():
    own = """\
int on_write(struct pt_regs *ctx)
{
    struct event event = {};

    events.perf_submit(ctx, &event, sizeof(struct wide));
    return 0;
}
"""
    found = refused(own, 5, "invalid indirect access to stack R4 off=-16 size=264")
    assert found.advice == "Write sizeof(event) for sizeof(struct wide)."
    assert found.since == ("event is a struct event, line 3",)
    assert found.changes[0].rows(own) == [(5, "    events.perf_submit(ctx, &event, sizeof(event));")]
