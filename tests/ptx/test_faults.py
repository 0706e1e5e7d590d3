"""Planted faults: each is caught, and the same kernel without it runs."""

from __future__ import annotations

import numpy as np
import pytest

from ptx.errors import Fault
from ptx.machine import launch
from ptx.memory import GlobalMemory
from ptx.snippet import kernel

#: y[i] = 2 x[i] for i < n, 64 threads a CTA
DOUBLE = """
mov.u32 %r0, %ctaid.x;
mov.u32 %r1, %tid.x;
mad.lo.s32 %r2, %r0, 64, %r1;
ld.param.b32 %r3, [k_param_2];
setp.lt.s32 %p0, %r2, %r3;
ld.param.b64 %rd0, [k_param_0];
ld.param.b64 %rd1, [k_param_1];
mad.wide.s32 %rd2, %r2, 4, %rd0;
mad.wide.s32 %rd3, %r2, 4, %rd1;
@%p0 ld.global.b32 %r4, [%rd2];
add.f32 %r5, %r4, %r4;
@%p0 st.global.b32 [%rd3], %r5;
"""
COUNT = 100


def double(body: str) -> tuple[np.ndarray, GlobalMemory]:
    memory = GlobalMemory()
    x = memory.place("x", np.arange(COUNT, dtype=np.float32))
    y = memory.reserve("y", 4 * COUNT)
    launch(kernel(body, ["u64", "u64", "u32"]), (2, 1, 1), [x, y, COUNT], memory, limit=1000)
    return memory.fetch(y, (COUNT,), np.float32), memory


def test_a_sound_kernel() -> None:
    y, memory = double(DOUBLE)
    np.testing.assert_array_equal(y, 2 * np.arange(COUNT, dtype=np.float32))
    assert (memory.loaded.requested, memory.stored.requested) == (4 * COUNT, 4 * COUNT)
    assert memory.loaded.distinct_bytes == 32 * -(-4 * COUNT // 32)


@pytest.mark.parametrize(
    ("sound", "planted", "message"),
    [
        ("setp.lt.s32 %p0, %r2, %r3", "setp.le.s32 %p0, %r2, %r3", "out of bounds: offset 400 of x"),
        ("@%p0 ld.global", "ld.global", "out of bounds: offset 400 of x"),
        ("@%p0 st.global.b32 [%rd3], %r5", "st.global.b32 [%rd3], %r1", "out of bounds: offset 400 of y"),
        ("ld.global.b32 %r4, [%rd2]", "ld.global.b32 %r4, [%rd2+-4]", "out of bounds"),
        ("mad.wide.s32 %rd2, %r2, 4, %rd0", "mad.wide.s32 %rd2, %r2, 8, %rd0", "out of bounds"),
        ("mad.wide.s32 %rd2, %r2, 4, %rd0", "mad.wide.s32 %rd2, %r2, 2, %rd0", "misaligned: 4 bytes at offset 2 of x"),
        ("mad.wide.s32 %rd3, %r2, 4, %rd1", "mad.wide.s32 %rd3, %r0, 4, %rd1", "different values: byte 2 of y"),
        ("mad.lo.s32 %r2, %r0, 64, %r1", "mov.b32 %r2, %r1", "race: write over what another thread wrote"),
        ("mad.lo.s32 %r2, %r0, 64, %r1", "mad.lo.s32 %r2, %r0, 65, %r1", "4 bytes of y never written, .* byte 256"),
        ("setp.lt.s32 %p0, %r2, %r3", "setp.lt.s32 %p0, %r2, 99", "4 bytes of y never written, .* byte 396"),
        ("ld.param.b64 %rd0, [k_param_0]", "ld.param.b64 %rd0, [k_param_1]", "read of memory never written: byte 0"),
        ("ld.param.b64 %rd0, [k_param_0]", "ld.param.b64 %rd0, [k_param_3]", "are in no one buffer"),
        ("add.f32 %r5, %r4, %r4", "add.f32 %r5, %r4, %r6", "stored value was never written"),
        ("setp.lt.s32 %p0, %r2, %r3", "setp.lt.s32 %p0, %r2, %r7", "predicate was never written"),
        ("mad.wide.s32 %rd2, %r2, 4, %rd0", "mad.wide.s32 %rd2, %r2, 4, %rd9", "address was never written"),
        ("add.f32 %r5, %r4, %r4", "$L1: bra.uni $L1", "no end after 1000 instructions"),
        ("add.f32 %r5, %r4, %r4", "rem.s32 %r5, %r2, %r0", "division by zero"),
    ],
)
def test_a_planted_fault(sound: str, planted: str, message: str) -> None:
    assert DOUBLE.count(sound) == 1
    with pytest.raises(Fault, match=message):
        double(DOUBLE.replace(sound, planted))


def test_what_inactive_threads_lack_is_no_fault() -> None:
    """The last threads add what they never loaded, and store nothing: Triton's reductions do so."""
    y, _ = double(DOUBLE.replace("add.f32 %r5, %r4, %r4", "add.f32 %r6, %r4, %r4;\nmov.b32 %r5, %r6"))
    assert y[-1] == 2 * (COUNT - 1)


#: y[i] = x[63 - i] through shared memory
REVERSE = """
mov.u32 %r0, %tid.x;
ld.param.b64 %rd0, [k_param_0];
ld.param.b64 %rd1, [k_param_1];
mad.wide.u32 %rd2, %r0, 4, %rd0;
ld.global.b32 %r1, [%rd2];
mov.b32 %r2, global_smem;
mad.lo.s32 %r3, %r0, 4, %r2;
st.shared.b32 [%r3], %r1;
bar.sync 0;
xor.b32 %r4, %r0, 63;
mad.lo.s32 %r5, %r4, 4, %r2;
ld.shared.b32 %r6, [%r5];
mad.wide.u32 %rd3, %r0, 4, %rd1;
st.global.b32 [%rd3], %r6;
"""


def reverse(body: str, shared: int = 256) -> np.ndarray:
    memory = GlobalMemory()
    x, y = memory.place("x", np.arange(64, dtype=np.int32)), memory.reserve("y", 256)
    launch(kernel(body, ["u64", "u64"]), (1, 1, 1), [x, y], memory, shared)
    return memory.fetch(y, (64,), np.int32)


def test_shared_memory() -> None:
    np.testing.assert_array_equal(reverse(REVERSE), np.arange(64)[::-1])


def test_a_dropped_barrier() -> None:
    with pytest.raises(Fault, match="race: read of what another thread wrote: byte 252 of shared memory"):
        reverse(REVERSE.replace("bar.sync 0;", ""))


def test_a_warp_barrier_orders_threads_of_a_warp_only() -> None:
    within = REVERSE.replace("bar.sync 0;", "bar.warp.sync -1;").replace("%r0, 63;", "%r0, 31;")
    np.testing.assert_array_equal(reverse(within), np.arange(64) ^ 31)
    with pytest.raises(Fault, match="race: read of what another thread wrote"):
        reverse(REVERSE.replace("bar.sync 0;", "bar.warp.sync -1;"))


def test_memory_used_again_with_no_barrier() -> None:
    again = REVERSE + "st.shared.b32 [%r3], %r6;\n"
    with pytest.raises(Fault, match="race: write over what another thread reads"):
        reverse(again)
    reverse(again.replace("st.shared.b32 [%r3], %r6", "bar.sync 0;\nst.shared.b32 [%r3], %r6"))


def test_a_register_that_crosses_no_barrier_is_free() -> None:
    own = REVERSE.replace("bar.sync 0;", "").replace("%r0, 63;", "%r0, 0;")
    np.testing.assert_array_equal(reverse(own), np.arange(64))


def test_shared_memory_out_of_bounds() -> None:
    with pytest.raises(Fault, match="out of bounds: offset 252 of shared memory, 252 bytes"):
        reverse(REVERSE, shared=252)


def test_shared_memory_never_written() -> None:
    with pytest.raises(Fault, match="read of memory never written"):
        reverse(REVERSE.replace("st.shared.b32 [%r3], %r1;", ""))


def test_a_cta_may_not_read_what_another_wrote() -> None:
    body = (
        DOUBLE.replace("@%p0 ld.global", "ld.global")
        .replace("%r2, 4, %rd0", "%r1, 4, %rd0")
        .replace("%r0, 64", "%r0, 36")
    )
    memory = GlobalMemory()
    x = memory.place("x", np.zeros(COUNT, np.float32))
    with pytest.raises(Fault, match="race"):
        launch(kernel(body, ["u64", "u64", "u32"]), (2, 1, 1), [x, x, COUNT], memory)


def test_poison_is_not_a_number() -> None:
    memory = GlobalMemory()
    memory.reserve("y", 64)
    for dtype in (np.float16, np.float32, np.float64):
        assert np.isnan(memory.buffers[0].values.view(dtype)).all()


def test_sectors_of_a_warp() -> None:
    """Of 64 threads with a stride of 8 bytes, a warp asks for 8 sectors; neighbours would share 4."""
    strided = DOUBLE.replace("mad.wide.s32 %rd2, %r2, 4", "mad.wide.s32 %rd2, %r1, 8")
    memory = GlobalMemory()
    x, y = memory.place("x", np.zeros(128, np.float32)), memory.reserve("y", 256)
    launch(kernel(strided, ["u64", "u64", "u32"]), (1, 1, 1), [x, y, 64], memory)
    assert (memory.loaded.sectors, memory.stored.sectors) == (16, 8)
    assert (memory.loaded.requested, memory.loaded.distinct_bytes) == (256, 512)
