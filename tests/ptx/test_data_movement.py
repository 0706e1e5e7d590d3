"""Moves, selections, shuffles, vectors and matrices."""

from __future__ import annotations

import numpy as np
import pytest

from ptx.machine import launch
from ptx.memory import GlobalMemory
from ptx.snippet import THREADS, evaluate, kernel, place_of

LANE = np.arange(THREADS) % 32
WARP_START = np.arange(THREADS) - LANE
VALUES = np.random.default_rng(0).integers(0, 2**32, THREADS, np.uint32)


@pytest.mark.parametrize(
    ("way", "by", "origin"),
    [
        ("bfly", 5, LANE ^ 5),
        ("down", 3, np.where(LANE + 3 < 32, LANE + 3, LANE)),
        ("idx", 7, np.full(THREADS, 7)),
        ("idx", 39, np.full(THREADS, 7)),
    ],
)
def test_shuffle(way: str, by: int, origin: np.ndarray) -> None:
    got = evaluate(f"shfl.sync.{way}.b32 %r50, %r0, {by}, 31, -1;\n", [VALUES], np.uint32, "%r50")
    np.testing.assert_array_equal(got, VALUES[WARP_START + origin])


def test_packing_and_unpacking() -> None:
    swapped = evaluate("mov.b32 {%rs1, %rs2}, %r0;\nmov.b32 %r50, {%rs2, %rs1};\n", [VALUES], np.uint32, "%r50")
    np.testing.assert_array_equal(swapped, (VALUES >> 16) | (VALUES << 16))
    wide = evaluate("mov.b64 %rd50, {%r0, %r1};\n", [VALUES, ~VALUES], np.uint64, "%rd50")
    np.testing.assert_array_equal(wide, VALUES.astype(np.uint64) | (~VALUES).astype(np.uint64) << np.uint64(32))
    upper = evaluate("mov.b32 {_, %rs1}, %r0;\n", [VALUES], np.uint16, "%rs1")
    np.testing.assert_array_equal(upper, VALUES >> 16)


def test_half_of_a_register_may_be_missing() -> None:
    """Packed arithmetic keeps lanes apart: the written half comes through."""
    body = "mov.b64 %rd0, {%r0, %r9};\nadd.f32x2 %rd1, %rd0, %rd0;\nmov.b64 {%r50, _}, %rd1;\n"
    ones = np.ones(THREADS, np.float32)
    np.testing.assert_array_equal(evaluate(body, [ones], np.float32, "%r50"), 2 * ones)


@pytest.mark.parametrize("kind", ["b32", "s32", "u32", "f32"])
def test_select(kind: str) -> None:
    body = f"setp.ne.b32 %p0, %r1, 0;\nselp.{kind} %r50, %r0, %r2, %p0;\n"
    odd = (np.arange(THREADS) % 2).astype(np.uint32)
    got = evaluate(body, [VALUES, odd, ~VALUES], np.uint32, "%r50")
    np.testing.assert_array_equal(got, np.where(odd, VALUES, ~VALUES))


def test_select_ignores_what_it_does_not_choose() -> None:
    got = evaluate("mov.pred %p0, -1;\nselp.b32 %r50, %r0, %r9, %p0;\n", [VALUES], np.uint32, "%r50")
    np.testing.assert_array_equal(got, VALUES)


def test_predication_keeps_the_old_value() -> None:
    body = "setp.lt.u32 %p0, %r0, 2147483648;\nmov.b32 %r50, 1;\n@!%p0 mov.b32 %r50, 2;\n"
    np.testing.assert_array_equal(evaluate(body, [VALUES], np.uint32, "%r50"), np.where(VALUES < 2**31, 1, 2))


def test_parameters() -> None:
    body = (
        "mov.u32 %r60, %tid.x;\nld.param.s32 %rd0, [k_param_1];\nld.param.b32 %r0, [k_param_2];\n"
        "cvt.rzi.s32.f32 %r1, %r0;\nmov.b64 {%r2, %r3}, %rd0;\nadd.s32 %r4, %r1, %r2;\n"
        + place_of("%r60", 8, 0, "%rd60")
        + "mov.b64 %rd1, {%r4, %r3};\nst.global.b64 [%rd60], %rd1;\n"
    )
    memory = GlobalMemory()
    out = memory.reserve("out", 8 * THREADS)
    launch(kernel(body, ["u64", "u32", "f32"]), (1, 1, 1), [out, 2**32 - 7, 2.5], memory)
    np.testing.assert_array_equal(memory.fetch(out, (THREADS,), np.int64), -5)


def test_vectors() -> None:
    """Sixteen bytes a thread, in order."""
    body = "mov.u32 %r60, %tid.x;\n" + place_of("%r60", 16, 0, "%rd60") + place_of("%r60", 16, 1, "%rd61")
    body += "ld.global.v4.b32 {%r0, %r1, %r2, %r3}, [%rd60];\nst.global.v4.b32 [%rd61], {%r3, %r2, %r1, %r0};\n"
    memory = GlobalMemory()
    x = np.arange(4 * THREADS, dtype=np.int32).reshape(-1, 4)
    source, target = memory.place("x", x), memory.reserve("y", x.nbytes)
    launch(kernel(body, ["u64", "u64"]), (1, 1, 1), [source, target], memory)
    np.testing.assert_array_equal(memory.fetch(target, x.shape, np.int32), x[:, ::-1])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_matrices(count: int) -> None:
    """Thread t stores elements 2 (t % 4) and the next of row t // 4; rows are where lanes 8 i to 8 i + 7 say."""
    registers = ", ".join(f"%r{i}" for i in range(count))
    size, stride = 128 * count, 16
    body = "mov.u32 %r60, %tid.x;\nand.b32 %r61, %r60, 31;\nshr.u32 %r62, %r60, 5;\nmov.b32 %r59, global_smem;\n"
    body += "".join(f"mad.lo.s32 %r{i}, %r60, 16, {i};\n" for i in range(count))
    body += f"mad.lo.s32 %r58, %r62, {size}, %r59;\nmin.u32 %r57, %r61, {8 * count - 1};\n"
    body += f"mad.lo.s32 %r56, %r57, {stride}, %r58;\n"
    body += f"stmatrix.sync.aligned.m8n8.x{count}.shared.b16 [%r56], {{{registers}}};\nbar.sync 0;\n"
    body += f"ldmatrix.sync.aligned.m8n8.x{count}.shared.b16 {{{registers}}}, [%r56];\n"
    body += f"mul.lo.s32 %r55, %r61, {4 * count};\nadd.s32 %r55, %r55, %r58;\n"
    body += "".join(f"ld.shared.b32 %r{10 + i}, [%r55+{4 * i}];\n" for i in range(count))
    for i in range(count):
        body += place_of("%r60", 4 * count, 0, "%rd0") + f"st.global.b32 [%rd0+{4 * i}], %r{i};\n"
        body += place_of("%r60", 4 * count, 1, "%rd1") + f"st.global.b32 [%rd1+{4 * i}], %r{10 + i};\n"
    memory = GlobalMemory()
    back, shared = (memory.reserve(name, 4 * count * THREADS) for name in ("back", "shared"))
    launch(kernel(body, ["u64", "u64"]), (1, 1, 1), [back, shared], memory, 2 * size)
    thread = np.arange(THREADS)
    np.testing.assert_array_equal(
        memory.fetch(back, (THREADS, count), np.int32), 16 * thread[:, None] + np.arange(count)
    )
    rows = memory.fetch(shared, (2, count, 8, 4), np.int32)
    expected = 16 * thread.reshape(2, 1, 8, 4) + np.arange(count).reshape(1, count, 1, 1)
    np.testing.assert_array_equal(rows, expected)
