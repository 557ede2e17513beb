"""`workbook probes`: what the lab lists is checked, searched and shown; here a lab that says what it is told to."""

import json
import random
import struct

import pytest
from labs import FakeLab
from typer.testing import CliRunner

from harness import cli
from harness.cli import probes as command
from harness.errors import GuestLost, UsageError
from harness.probes import asking, btf, points, questions, searching
from harness.probes.btf import Btf, BtfError, Signature
from harness.protocol.frames import Kind, encode
from harness.protocol.messages import Exited

FUNCTIONS = """\
vfs_unlink
vfs_unlinkat_helper
do_unlinkat
cleanup
cleanup
noinstr_thing
virtblk_done [virtio_blk]
__ftrace_invalid_address___48
"""
BLACKLIST = "0xffffffff81000000-0xffffffff81000010\tnoinstr_thing\n"
EVENTS = "syscalls:sys_enter_unlinkat\nsyscalls:sys_enter_unlink\nsched:sched_process_exec\n"
FORMAT = """\
name: sys_enter_unlinkat
ID: 851
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const char * pathname;\toffset:24;\tsize:8;\tsigned:0;

print fmt: "dfd: 0x%08lx, name: %s", REC->dfd
"""
EMPTY_FORMAT = 'name: sys_enter_unlink\nID: 850\nformat:\n\nprint fmt: ""\n'
SYMBOLS = """\
malloc@@GLIBC_2.2.5 T a1b20 2a0
memcpy@@GLIBC_2.14 i 9c5e0 20
environ@@GLIBC_2.2.5 V 1e0000 8
"""
NOTES = """\

Displaying notes found in: .note.stapsdt
  Owner                Data size \tDescription
  stapsdt              0x00000030\tNT_STAPSDT (SystemTap probe descriptors)\t    Provider: python
    Name: gc__done
    Location: 0x000000000042873b, Base: 0x00000000008cc5a0, Semaphore: 0x0000000000a84270
    Arguments: -8@%r12
  stapsdt              0x00000030\tNT_STAPSDT (SystemTap probe descriptors)\t    Provider: python
    Name: line
    Location: 0x000000000042873c, Base: 0x00000000008cc5a0, Semaphore: 0x0000000000000000
    Arguments: 8@%rax -4@8(%rbx)
  stapsdt              0x00000030\tNT_STAPSDT (SystemTap probe descriptors)\t    Provider: python
    Name: line
    Location: 0x000000000042873d, Base: 0x00000000008cc5a0, Semaphore: 0x0000000000000000
    Arguments: 8@%rax -4@8(%rbx)
"""


def coded(*types, strings):
    """BTF of these types, each the bytes of one; `strings` are its names, the first at 1."""
    body = b"".join(types)
    names = b"\0" + b"".join(name.encode() + b"\0" for name in strings)
    return btf.HEADER.pack(btf.MAGIC, 1, 0, btf.HEADER.size, 0, len(body), len(body), len(names)) + body + names


def a_type(kind, name=0, of=0, count=0, more=b""):
    return btf.TYPE.pack(name, kind << 24 | count, of) + more


def params(*pairs):
    return b"".join(btf.PARAM.pack(*pair) for pair in pairs)


NAMES = ("char", "inode", "name", "vfs_unlink", "size_t", "actor")
CHAR, INODE, NAME, UNLINK, SIZE_T, ACTOR = (
    1 + sum(len(one) + 1 for one in NAMES[:place]) for place in range(len(NAMES))
)
TYPES = (
    a_type(btf.INT, CHAR, 1, more=struct.pack("<I", 8)),  # 1
    a_type(btf.CONST, 0, 1),  # 2: const char
    a_type(btf.PTR, 0, 2),  # 3: const char *
    a_type(btf.STRUCT, INODE, 8),  # 4
    a_type(btf.PTR, 0, 4),  # 5: struct inode *
    a_type(btf.PTR, 0, 5),  # 6: struct inode **
    a_type(btf.TYPEDEF, SIZE_T, 1),  # 7
    a_type(btf.ARRAY_OF, more=btf.ARRAY.pack(7, 1, 4)),  # 8: size_t [4]
    a_type(btf.FUNC_PROTO, 0, 1),  # 9
    a_type(btf.PTR, 0, 9),  # 10: char (*)(...)
    a_type(btf.CONST, 0, 5),  # 11: struct inode *const
    a_type(btf.FUNC_PROTO, 0, 5, 7, params((NAME, 3), (INODE, 6), (NAME, 8), (ACTOR, 10), (NAME, 11), (0, 4), (0, 0))),
    a_type(btf.FUNC, UNLINK, 12),  # 13
)
VMLINUX = coded(*TYPES, strings=NAMES)


def said(text, status=0):
    """A command's output, and its end."""
    data = text if isinstance(text, bytes) else text.encode()
    return (encode(Kind.STDOUT, data), Exited(status=status))


def lab(*texts):
    """A lab in which one command after the other prints these."""
    return FakeLab(*(message for text in texts for message in (text if isinstance(text, tuple) else said(text))))


def base64_of(data):
    import base64

    return base64.b64encode(data)


def kernel(*more):
    """A lab that lists the kernel's points, and prints `more` after that."""
    return lab(FUNCTIONS, BLACKLIST, EVENTS, *more)


def test_a_signature_is_declared_as_c_does():
    takes = ("const char *name", "struct inode **inode", "size_t name[4]", "char (*actor)(...)",
             "struct inode *const name", "struct inode", "...")  # fmt: skip
    assert Btf.load(VMLINUX).signatures(["vfs_unlink", "none"]) == {"vfs_unlink": Signature("struct inode *", takes)}


def test_two_functions_of_one_name_have_no_signature():
    other = (a_type(btf.FUNC_PROTO, 0, 1), a_type(btf.FUNC, UNLINK, 14))
    assert Btf.load(coded(*TYPES, *other, strings=NAMES)).signatures(["vfs_unlink"]) == {"vfs_unlink": None}


def test_a_type_that_holds_itself_is_an_error():
    circle = (a_type(btf.PTR, 0, 1), a_type(btf.FUNC_PROTO, 0, 1), a_type(btf.FUNC, UNLINK, 2))
    with pytest.raises(BtfError, match="holds itself"):
        Btf.load(coded(*circle, strings=NAMES)).signatures(["vfs_unlink"])


@pytest.mark.parametrize("prototype", [0, 1, 3, 1 << 31])
def test_a_function_without_a_prototype_is_an_error(prototype):
    types = (a_type(btf.INT, CHAR, 1, more=struct.pack("<I", 8)), a_type(btf.FUNC, UNLINK, prototype))
    with pytest.raises(BtfError):
        Btf.load(coded(*types, strings=NAMES)).signatures(["vfs_unlink"])


def test_a_type_that_ends_behind_the_types_is_an_error():
    with pytest.raises(BtfError, match="the last type is cut"):
        Btf.load(coded(a_type(btf.FUNC_PROTO, 0, 0, count=2), strings=NAMES))


@pytest.mark.parametrize("data", [b"", b"\0" * 40, VMLINUX[:-1], VMLINUX[:60], VMLINUX + b"\0"])
def test_bytes_that_are_not_whole_btf_are_an_error(data):
    with pytest.raises(BtfError):
        Btf.load(data)


def test_no_byte_that_changed_leads_anywhere_else():
    rng = random.Random(23)
    outcomes = set()
    for _ in range(5000):
        data = bytearray(VMLINUX)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            outcomes.add(type(Btf.load(bytes(data)).signatures(["vfs_unlink"])))
        except BtfError:
            outcomes.add(BtfError)
    assert outcomes == {dict, BtfError}


def test_the_kernels_list_leaves_out_what_refuses_a_kprobe():
    found = points.functions(FUNCTIONS, BLACKLIST)
    assert set(found) == {"vfs_unlink", "vfs_unlinkat_helper", "do_unlinkat", "cleanup", "virtblk_done"}
    assert (found["cleanup"].same, found["virtblk_done"].module) == (2, "virtio_blk")


@pytest.mark.parametrize("rows", ["vfs_unlink\n\x1b[2J\n", "a b c\n", "x" * 600, "\n"])
def test_a_row_of_another_kind_is_an_odd_answer(rows):
    with pytest.raises(points.OddAnswer):
        points.functions(rows, "")
    with pytest.raises(points.OddAnswer):
        points.tracepoints(rows)


def test_a_format_has_the_fields_that_are_its_own():
    assert points.fields(FORMAT + EMPTY_FORMAT) == [
        ("sys_enter_unlinkat", ("int dfd", "const char * pathname")),
        ("sys_enter_unlink", ()),
    ]


def test_a_print_format_with_a_name_in_it_begins_no_format():
    """As of a tracepoint whose own text says "name: %s"."""
    assert [name for name, _ in points.fields(FORMAT)] == ["sys_enter_unlinkat"]


def test_a_files_functions_come_without_versions_and_data():
    assert list(points.symbols(SYMBOLS)) == ["malloc", "memcpy"]


def test_a_usdt_probe_is_counted_by_its_places():
    assert list(points.usdt(NOTES).values()) == [
        points.Usdt("python:gc__done", 1, 1, True),
        points.Usdt("python:line", 2, 2, False),
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["unlink"], ["do_unlinkat", "xvfs_unlink", "unlink_file"]),
        (["unlink_file"], ["unlink_file"]),
        (["UNLINK", "vfs"], ["xvfs_unlink"]),
        (["*unlink"], ["xvfs_unlink"]),
        (["do_*"], ["do_unlinkat"]),
        (["(", "["], []),
    ],
)
def test_names_are_found_by_words_and_patterns(words, found):
    assert set(searching.matching(["do_unlinkat", "xvfs_unlink", "unlink_file"], words)) == set(found)


def test_the_best_name_comes_first():
    names = ["my_vfs_read", "vfs_readlink", "a:vfs_read", "vfs_readv", "vfs_read"]
    assert searching.matching(names, ["vfs_read"]) == [
        "vfs_read",
        "a:vfs_read",
        "vfs_readv",
        "vfs_readlink",
        "my_vfs_read",
    ]


def test_a_mistyped_name_has_near_ones():
    names = ["vfs_unlink", "vfs_read", "sched:sched_switch"]
    assert searching.near(names, ["vfs_unlnk"]) == ["vfs_unlink"]
    assert searching.near(names, ["shed_switch"]) == ["sched:sched_switch"]
    assert searching.near(names, ["zzz"]) == searching.near(names, ["vfs_unlnk", "vfs_read"]) == []


@pytest.mark.parametrize(
    ("typed", "asks"),
    [
        ("who deletes files", ["who deletes files"]),
        ("Which process has removed my file?", ["who deletes files"]),
        ("unlink", ["who deletes files"]),
        ("who connects", ["who connects, and where"]),
        ("who opened this file", ["who opens files"]),
        ("vfs_unlink", []),
        ("who", []),
        ("file of a frog", []),
        ("", []),
    ],
)
def test_a_question_is_known_by_its_words(typed, asks):
    found = [one.ask for one in questions.asked(typed.split())]
    assert found == asks or (len(asks) == 1 and found[:1] == asks)


@pytest.mark.parametrize("question", questions.every(), ids=lambda one: one.ask)
def test_each_question_is_found_by_its_own_words(question):
    assert question in questions.asked(question.ask.split())
    assert len({one.name for one in question.probes}) == len(question.probes) > 0


def test_a_question_is_answered_with_types_and_fields():
    answer = asking.kernel(kernel(base64_of(VMLINUX), FORMAT), ["who", "deletes", "files"], 10)
    [one] = answer.questions
    (call, tracepoint), (removal, function) = one.probes
    assert (call.name, tracepoint.fields) == ("syscalls:sys_enter_unlinkat", ("int dfd", "const char * pathname"))
    assert (removal.name, function.returns, len(function.takes)) == ("vfs_unlink", "struct inode *", 7)
    assert answer.functions.total == answer.tracepoints.total == 0


def test_a_probe_that_this_kernel_lacks_is_said():
    answer = asking.kernel(kernel(), ["who", "opens", "files"], 10)
    assert {point for _, point in answer.questions[0].probes} == {None}


def test_a_kernel_without_btf_leaves_types_open():
    answer = asking.kernel(kernel(said("", 1)), ["do_unlinkat"], 10)
    assert answer.functions.shown == (points.Function("do_unlinkat"),)


@pytest.mark.parametrize(
    "more",
    [
        (base64_of(VMLINUX[:-1]),),
        (b"no base64",),
        (base64_of(VMLINUX), FORMAT.replace("unlinkat", "rename")),
        (base64_of(VMLINUX), ""),
        (base64_of(VMLINUX), said("", 1)),
    ],
)
def test_another_answer_than_asked_for_is_the_labs_fault(more):
    with pytest.raises(GuestLost, match=r"list of probes is none|does not list"):
        asking.kernel(kernel(*more), ["who", "deletes", "files"], 10)


def test_a_lists_odd_row_is_shown_harmlessly():
    with pytest.raises(GuestLost) as caught:
        asking.kernel(lab("vfs_read\n\x1b[2Jgone\n", BLACKLIST, EVENTS), ["vfs"], 10)
    assert "\x1b" not in str(caught.value)


def test_a_file_has_functions_and_usdt_probes():
    answer = asking.file(lab("/usr/bin/python3.13\n", SYMBOLS + "\n" + NOTES), "python3", ["*"], 10)
    assert answer.file == "/usr/bin/python3.13"
    assert [point.name for point in answer.symbols.shown] == ["malloc", "memcpy"]
    assert [point.name for point in answer.usdt.shown] == ["python:line", "python:gc__done"]


def test_a_file_without_functions_may_have_probes():
    answer = asking.file(lab("/usr/bin/x\n", "\n" + NOTES), "x", ["gc"], 10)
    assert (answer.symbols.total, answer.usdt.total) == (0, 1)


def test_a_file_that_the_lab_lacks_is_wrong_usage():
    missing = (encode(Kind.STDERR, b"x: the lab has no such file\x1b[2J"), Exited(status=1))
    with pytest.raises(UsageError, match=r"no such file\\x1b"):
        asking.file(lab(missing), "x", ["*"], 10)


@pytest.fixture
def typed(monkeypatch):
    """Runs the command over a lab."""

    def run(where, *words):
        monkeypatch.setattr(command, "opened", lambda name: where)
        return CliRunner().invoke(cli.app, ["probes", *words], env={"COLUMNS": "100"})

    return run


def test_the_command_shows_a_question_and_how_to_attach(typed):
    seen = typed(kernel(base64_of(VMLINUX), FORMAT), "who", "deletes", "files")
    assert seen.exit_code == 0
    rows = seen.stdout.splitlines()
    assert rows[0] == "who deletes files"
    assert "      int dfd, const char * pathname" in rows
    assert "  try it on: touch old; rm old" in rows
    assert 'as in lesson 01: bpf.attach_kprobe(event=b"vfs_unlink", fn_name=b"…")' in rows


def test_what_is_not_shown_is_counted(typed):
    seen = typed(kernel(said("", 1), EMPTY_FORMAT + FORMAT), "unlink", "--limit", "1")
    assert "kernel functions: 3" in seen.stdout
    assert "  … 2 more: say more of the name, or --limit 3" in seen.stdout


def test_an_ambiguous_name_is_said(typed):
    seen = typed(kernel(base64_of(VMLINUX)), "cleanup")
    assert "  cleanup  (2 functions have this name: a probe by name may be refused)" in seen.stdout


def test_the_answer_is_json_where_a_program_reads_it(typed):
    seen = json.loads(typed(kernel(base64_of(VMLINUX), EMPTY_FORMAT + FORMAT), "unlink", "--json").stdout)
    assert seen["functions"]["total"] == 3
    assert seen["tracepoints"]["shown"][0]["name"] == "syscalls:sys_enter_unlink"
    assert seen["questions"][0]["probes"][1]["here"]["name"] == "vfs_unlink"


def test_nothing_found_is_wrong_usage_with_near_names(typed):
    seen = typed(kernel(), "do_unlinkta")
    assert isinstance(seen.exception, UsageError)
    assert (
        str(seen.exception) == "this kernel has no probe that fits 'do_unlinkta'; close to it: do_unlinkat, vfs_unlink"
    )
    assert seen.exception.remedy == "workbook probes do_unlinkat"


def test_without_a_pattern_the_questions_are_listed(typed):
    seen = typed(None)
    assert "who deletes files" in seen.stdout.splitlines()
    assert json.loads(typed(None, "--json").stdout) == [one.ask for one in questions.every()]
