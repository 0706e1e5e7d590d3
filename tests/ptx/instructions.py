"""What arithmetic instructions compute: whole opcodes, modifiers included, and nothing else.

Every entry is a statement of the PTX ISA manual on NumPy arrays with one element per thread. ``.approx`` functions and
``div.full`` are rounded from float64, where a GPU is up to 2 units in the last place away; a NaN is any NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptx.errors import Fault

Array = NDArray
Compute = Callable[..., Array]

#: what a register holds, and what the functions below are given, for each PTX type
BITS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
TYPES = {
    "pred": np.bool_,
    "b16": np.uint16,
    "b32": np.uint32,
    "b64": np.uint64,
    **{f"u{width}": dtype for width, dtype in BITS.items()},
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
    "bf16": np.uint16,
    "bf16x2": np.uint32,
    "f32x2": np.uint64,
}


@dataclass(frozen=True)
class Operation:
    """``result = compute(*sources)``, with PTX types; ``lanes`` values are packed in each register."""

    result: str
    sources: tuple[str, ...]
    compute: Compute
    lanes: int = 1


def widen(bits: Array) -> Array:
    """Bfloat16 bits as float32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: Array) -> Array:
    """Bfloat16 bits of float32, to nearest even."""
    bits = values.view(np.uint32)
    rounded = (bits + ((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF)) >> np.uint32(16)
    return np.where(np.isnan(values), 0x7FFF, rounded).astype(np.uint16)


def fma(a: Array, b: Array, c: Array) -> Array:
    """A float32 ``a * b + c`` with one rounding.

    The product is exact in float64; the sum is rounded to odd (Boldo and Melquiond 2008), which rounds on correctly.
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    even = (total.view(np.uint64) & np.uint64(1)) == 0
    nudge = np.isfinite(total) & (error != 0) & even
    return np.where(nudge, np.nextafter(total, np.copysign(np.inf, error)), total).astype(np.float32)


def flush(values: Array) -> Array:
    """Subnormal float32 as zero of its sign: ``.ftz``."""
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), values), values)


def flushed(compute: Compute) -> Compute:
    """Subnormal operands and results as zero."""
    return lambda *sources: flush(compute(*map(flush, sources)))


def rounded(function: Callable[[Array], Array]) -> Compute:
    """A function of float32 through float64."""
    return lambda x: function(x.astype(np.float64)).astype(np.float32)


def larger(a: Array, b: Array) -> Array:
    """Max that drops a NaN and knows that -0 < +0."""
    return np.where(a == b, (a.view(np.uint32) & b.view(np.uint32)).view(np.float32), np.fmax(a, b))


def smaller(a: Array, b: Array) -> Array:
    """Min that drops a NaN and knows that -0 < +0."""
    return np.where(a == b, (a.view(np.uint32) | b.view(np.uint32)).view(np.float32), np.fmin(a, b))


def shift_left(a: Array, amount: Array) -> Array:
    """Bits pushed out are lost, and all of them from the width on."""
    width = a.dtype.itemsize * 8
    return np.where(amount < width, a << np.minimum(amount, width - 1).astype(a.dtype), a.dtype.type(0))


def shift_right(a: Array, amount: Array) -> Array:
    """Filled with zeros, or with the sign of a signed number."""
    width = a.dtype.itemsize * 8
    shifted = a >> np.minimum(amount, width - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(amount < width, shifted, a.dtype.type(0))


def extract(a: Array, start: Array, length: Array) -> Array:
    """``length`` bits of an unsigned number from bit ``start`` on."""
    start, length = start & np.uint32(0xFF), length & np.uint32(0xFF)
    mask = (np.uint64(1) << np.minimum(length, 32).astype(np.uint64)) - np.uint64(1)
    return (shift_right(a, start).astype(np.uint64) & mask).astype(np.uint32)


def permute(a: Array, b: Array, selector: Array) -> Array:
    """Four bytes of the eight of ``b:a``, each chosen by four bits; the fourth bit repeats the sign."""
    both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
    result = np.zeros_like(a)
    for position in range(4):
        choice = (selector >> np.uint32(4 * position)) & np.uint32(0xF)
        byte = (both >> ((choice & np.uint32(7)) * np.uint32(8)).astype(np.uint64)).astype(np.uint32) & np.uint32(0xFF)
        sign = (byte >> np.uint32(7)) * np.uint32(0xFF)
        result |= np.where(choice & np.uint32(8), sign, byte) << np.uint32(8 * position)
    return result


def high(wide: type) -> Compute:
    """The upper half of a product."""
    return lambda a, b: ((a.astype(wide) * b.astype(wide)) >> wide(32)).astype(a.dtype)


def divide(a: Array, b: Array) -> Array:
    """Quotient towards zero."""
    return (a - remainder(a, b)) // b


def remainder(a: Array, b: Array) -> Array:
    """Remainder of the sign of the dividend.

    Raises:
        Fault: division by zero, whose result depends on the machine.
    """
    if (b == 0).any():
        raise Fault("division by zero")
    return np.fmod(a, b)


def truncate(dtype: type) -> Compute:
    """Integer to integer: the low bits, or the sign extended."""
    return lambda x: x.astype(dtype)


def to_integer(rounding: Callable[[Array], Array]) -> Compute:
    """Float32 to int32: clamped to its range, NaN is 0."""
    bound = np.iinfo(np.int32)
    return lambda x: np.clip(np.nan_to_num(rounding(x).astype(np.float64)), bound.min, bound.max).astype(np.int32)


COMPARE: dict[str, Compute] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def ordered(compare: Compute) -> Compute:
    """False where an operand is NaN (IEEE 754 says != is true there)."""
    return lambda a, b: compare(a, b) & ~(np.isnan(a) | np.isnan(b))


def unordered(compare: Compute) -> Compute:
    """True where an operand is NaN."""
    return lambda a, b: compare(a, b) | np.isnan(a) | np.isnan(b)


def _table() -> dict[str, Operation]:
    table: dict[str, Operation] = {}

    def add(opcode: str, signature: str, compute: Compute, lanes: int = 1) -> None:
        result, *sources = signature.split()
        table[opcode] = Operation(result, tuple(sources), compute, lanes)

    def binary(names: str, types: str, compute: Compute) -> None:
        for name in names.split():
            for kind in types.split():
                add(f"{name}.{kind}", f"{kind} {kind} {kind}", compute)

    binary("add add.rn", "f32", np.add)
    binary("sub sub.rn", "f32", np.subtract)
    binary("mul mul.rn", "f32", np.multiply)
    binary("add", "s16 s32 s64 u16 u32 u64", np.add)
    binary("sub", "s16 s32 s64 u16 u32 u64", np.subtract)
    binary("mul.lo", "s16 s32 s64 u16 u32 u64", np.multiply)
    binary("min", "s32 s64 u32 u64", np.minimum)
    binary("max", "s32 s64 u32 u64", np.maximum)
    binary("and", "pred b16 b32 b64", np.bitwise_and)
    binary("or", "pred b16 b32 b64", np.bitwise_or)
    binary("xor", "pred b16 b32 b64", np.bitwise_xor)
    binary("max", "f32", larger)
    binary("min", "f32", smaller)
    binary("max.NaN", "f32", lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), larger(a, b)))
    binary("min.NaN", "f32", lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), smaller(a, b)))
    binary("div.full div.rn", "f32", lambda a, b: a / b)
    add("mul.hi.u32", "u32 u32 u32", high(np.uint64))
    add("mul.hi.s32", "s32 s32 s32", high(np.int64))
    for kind in ("pred", "b16", "b32", "b64"):
        add(f"not.{kind}", f"{kind} {kind}", np.invert)
    for kind in ("s32", "s64"):
        add(f"neg.{kind}", f"{kind} {kind}", np.negative)
    for kind in ("b32", "b64"):
        add(f"shl.{kind}", f"{kind} {kind} u32", shift_left)
    for kind in ("u32", "u64", "s32", "s64"):
        add(f"shr.{kind}", f"{kind} {kind} u32", shift_right)
    for sign in "us":
        wide = TYPES[f"{sign}64"]
        add(f"mul.wide.{sign}32", f"{sign}64 {sign}32 {sign}32", lambda a, b, w=wide: a.astype(w) * b.astype(w))
        add(
            f"mad.wide.{sign}32",
            f"{sign}64 {sign}32 {sign}32 {sign}64",
            lambda a, b, c, w=wide: a.astype(w) * b.astype(w) + c,
        )
    for kind in ("s32", "u32", "s64", "u64"):
        add(f"mad.lo.{kind}", f"{kind} {kind} {kind} {kind}", lambda a, b, c: a * b + c)
    for kind in ("s32", "u32"):
        add(f"div.{kind}", f"{kind} {kind} {kind}", divide)
        add(f"rem.{kind}", f"{kind} {kind} {kind}", remainder)
    add("bfe.u32", "u32 u32 u32 u32", extract)
    add("prmt.b32", "b32 b32 b32 b32", permute)

    add("fma.rn.f32", "f32 f32 f32 f32", fma)
    add("fma.rn.ftz.f32", "f32 f32 f32 f32", flushed(fma))
    add("neg.f32", "f32 f32", np.negative)
    add("abs.f32", "f32 f32", np.abs)
    for name, function in {"ex2": np.exp2, "lg2": np.log2, "rcp": np.reciprocal}.items():
        add(f"{name}.approx.f32", "f32 f32", rounded(function))
        add(f"{name}.approx.ftz.f32", "f32 f32", flushed(rounded(function)))
    binary("add", "f64", np.add)
    add("sqrt.rn.f32", "f32 f32", np.sqrt)

    for name, compute in {"add": np.add, "sub": np.subtract, "mul": np.multiply}.items():
        for rounding in ("", ".rn"):
            add(f"{name}{rounding}.f32x2", "f32x2 f32x2 f32x2", compute, lanes=2)
    add("fma.rn.f32x2", "f32x2 f32x2 f32x2 f32x2", fma, lanes=2)
    add("add.rn.f32.bf16", "f32 bf16 f32", np.add)
    add("sub.rn.f32.bf16", "f32 bf16 f32", np.subtract)
    add("fma.rn.f32.bf16", "f32 bf16 bf16 f32", fma)

    add("cvt.f64.f32", "f64 f32", truncate(np.float64))
    add("cvt.rn.f32.f64", "f32 f64", truncate(np.float32))
    add("cvt.f32.bf16", "f32 bf16", lambda x: x)
    add("cvt.rn.bf16.f32", "bf16 f32", lambda x: x)
    add(
        "cvt.rn.bf16x2.f32",
        "bf16x2 f32 f32",
        lambda upper, lower: (narrow(upper).astype(np.uint32) << np.uint32(16)) | narrow(lower),
    )
    add("cvt.rn.f32.s32", "f32 s32", truncate(np.float32))
    add("cvt.rn.f32.u32", "f32 u32", truncate(np.float32))
    add("cvt.rzi.s32.f32", "s32 f32", to_integer(np.trunc))
    add("cvt.rni.s32.f32", "s32 f32", to_integer(np.rint))
    for result, source in (("s64", "s32"), ("u64", "u32"), ("u32", "u64"), ("u32", "u16"), ("u16", "u32")):
        add(f"cvt.{result}.{source}", f"{result} {source}", truncate(TYPES[result]))

    for name, compare in COMPARE.items():
        for kind in ("s16", "s32", "s64", "u16", "u32", "u64"):
            add(f"setp.{name}.{kind}", f"pred {kind} {kind}", compare)
        for kind in ("f32", "bf16"):
            add(f"setp.{name}.{kind}", f"pred {kind} {kind}", ordered(compare))
            add(f"setp.{name}u.{kind}", f"pred {kind} {kind}", unordered(compare))
        if name in ("eq", "ne"):
            for kind in ("b16", "b32", "b64"):
                add(f"setp.{name}.{kind}", f"pred {kind} {kind}", compare)
    add("setp.num.f32", "pred f32 f32", lambda a, b: ~(np.isnan(a) | np.isnan(b)))
    add("setp.nan.f32", "pred f32 f32", lambda a, b: np.isnan(a) | np.isnan(b))
    return table


TABLE = _table()


def decode(bits: Array, kind: str) -> Array:
    """Register bits as the values of a PTX type."""
    if kind == "bf16":
        return widen(bits)
    if kind == "f32x2":
        return bits.view(np.float32).reshape(-1, 2)
    return bits.view(TYPES[kind])


def encode(values: Array, kind: str) -> Array:
    """Values of a PTX type as register bits."""
    if kind == "pred":
        return values
    if kind == "bf16":
        return narrow(values)
    return np.ascontiguousarray(values).reshape(-1).view(BITS[np.dtype(TYPES[kind]).itemsize * 8])
