"""Signed and absolute sums of rows: a block of each row per program, its lanes summed in a fixed order."""

import triton
import triton.language as tl


@triton.jit
def block_sums(X, PARTIAL, ABSOLUTE, N, STEPS: tl.constexpr, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """PARTIAL[row, block] = sum of X[row, block's elements], and ABSOLUTE likewise of |X|, float64.

    Lanes add ``STEPS`` values in float32 (float64 for float64), lanes are added in float64. Grid: (rows, blocks).
    """
    row, block = tl.program_id(0), tl.program_id(1)
    accumulator = tl.float64 if X.dtype.element_ty == tl.float64 else tl.float32
    lane = tl.arange(0, LANES)
    signed = tl.zeros((LANES,), accumulator)
    absolute = tl.zeros((LANES,), accumulator)
    start = X + row.to(tl.int64) * N
    for step in tl.static_range(STEPS):
        column = (block * STEPS + step) * LANES + lane
        x = tl.load(start + column, mask=column < N, other=0.0).to(accumulator)
        signed += x
        absolute += tl.abs(x)
    out = row.to(tl.int64) * tl.num_programs(1) + block
    tl.store(PARTIAL + out, tl.sum(signed.to(tl.float64)))
    tl.store(ABSOLUTE + out, tl.sum(absolute.to(tl.float64)))
