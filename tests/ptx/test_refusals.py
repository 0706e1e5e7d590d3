"""What the interpreter does not know, it refuses; nothing is guessed."""

from __future__ import annotations

import pytest

from ptx.errors import Refused
from ptx.machine import launch
from ptx.memory import GlobalMemory
from ptx.parser import parse
from ptx.snippet import kernel


def run(body: str, threads: int = 64) -> None:
    launch(kernel(body, threads=threads), (1, 1, 1), [], GlobalMemory(), shared=64)


@pytest.mark.parametrize(
    "instruction",
    [
        "add.sat.f32 %r0, %r1, %r2;",
        "add.rz.f32 %r0, %r1, %r2;",
        "add.ftz.f32 %r0, %r1, %r2;",
        "mul.hi.s64 %rd0, %rd1, %rd2;",
        "sub.rn.f32.f16 %r0, %rs1, %r2;",
        "div.approx.f32 %r0, %r1, %r2;",
        "setp.lt.and.f32 %p0, %r1, %r2, %p1;",
        "ld.global.L1::evict_last.b32 %r0, [%rd0];",
        "ld.volatile.shared.b32 %r0, [%r1];",
        "atom.global.add.f32 %r0, [%rd0], %r1;",
        "red.global.add.f32 [%rd0], %r1;",
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%r0,%r1}, {%r2}, {%r3}, {%r4};",
        "cp.async.cg.shared.global [%r0], [%rd0], 16;",
        "vote.sync.ballot.b32 %r0, %p0, -1;",
        "call.uni f;",
        "trap;",
    ],
)
def test_an_unknown_opcode_or_modifier(instruction: str) -> None:
    with pytest.raises(Refused, match="unknown instructions"):
        run(instruction)


def test_an_unknown_instruction_is_refused_where_it_is_never_reached() -> None:
    with pytest.raises(Refused, match=r"tanh\.approx\.f32"):
        run("bra.uni $L1;\ntanh.approx.f32 %r0, %r1;\n$L1:\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("add.s32 %r0, %rd1, %r2;", "as s32"),
        ("add.s32 %rd0, %r1, %r2;", "32 bits into"),
        ("add.f32 %r0, %r1, 1;", "as f32"),
        ("add.f32 %r0, %r1, 0d3FF0000000000000;", "as f32"),
        ("add.s32 %r0, %r1, 4294967296;", "in 32 bits"),
        ("add.s32 %r0, %r1;", "operands"),
        ("mov.b32 %r0, missing;", "as b32"),
        ("mov.u32 %r0, %tid.x;\nadd.u64 %rd0, %tid.x, 1;", "as u64"),
        ("mov.u32 %r0, {%rs0, %rs1};", "a vector"),
        ("ld.global.v2.b32 {%r0}, [%rd0];", "registers"),
        ("ld.param.b64 %r0, [k_param_0];", "64 bits into"),
        ("ld.param.b32 %r0, [k_param_0];", "a parameter of"),
        ("ld.param.b64 %rd0, [k_param_0+4];", "parameter at"),
        ("shfl.sync.bfly.b32 %r0, %r1, 1, 7, -1;", "shuffle"),
        ("shfl.sync.bfly.b32 %r0, %r1, 1, 31, 1;", "shuffle"),
        ("bar.sync 1;", "barrier"),
        ("bar.sync 0, 32;", "barrier"),
        ("bar.warp.sync 1;", "barrier"),
    ],
)
def test_a_known_instruction_with_operands_of_another_kind(body: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        run(body)


ODD_THREADS = "mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 1; setp.ne.b32 %p0, %r1, 0;\n"


@pytest.mark.parametrize("body", ["@%p0 bra $L1;\n$L1:\n", "@%p0 bar.sync 0;", "@%p0 ret;"])
def test_threads_that_part_ways(body: str) -> None:
    with pytest.raises(Refused, match="threads of a CTA"):
        run(ODD_THREADS + body)


def test_a_shuffle_by_some_threads() -> None:
    with pytest.raises(Refused, match="shuffle"):
        run(ODD_THREADS + "@%p0 shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("mov.b32 %r64, 0;", "undeclared register"),
        ("mov.b32 %f0, 0;", "undeclared register"),
        ("bra.uni $L9;", "no such label"),
        ("$L1:\n$L1:\n", "two labels"),
        ("mov.b32 %r0, 1.5;", "operand"),
        (".local .align 4 .b8 stack[8];", "statement"),
        ("{ .reg .b32 %x; mov.b32 %x, 0; }", "statement"),
        ("mov.b32 {%rs0, [%rd0]}, %r0;", "in a vector"),
    ],
)
def test_syntax(body: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        run(body)


def test_modules_of_another_shape() -> None:
    text = ".target sm_90\n.visible .entry k(\n.param .u64 a\n)\n.reqntid 32\n{\nret;\n}\n"
    assert parse(text).threads == 32
    for wrong in (
        text + text.replace(" k(", " other("),
        text.replace(".reqntid 32", ".reqntid 32, 2"),
        text.replace(".reqntid 32", ""),
        text + ".func f() { ret; }\n",
        text.replace("ret;", "ret"),
    ):
        with pytest.raises(Refused):
            parse(wrong)


def test_a_part_of_a_warp() -> None:
    with pytest.raises(Refused, match="whole warps"):
        run("", threads=48)


def test_another_number_of_arguments() -> None:
    with pytest.raises(Refused, match="1 arguments for 0 parameters"):
        launch(kernel(""), (1, 1, 1), [7], GlobalMemory())
