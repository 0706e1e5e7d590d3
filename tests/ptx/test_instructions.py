"""Every instruction of the table against exact arithmetic on Python's integers and fractions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptx.instructions import TABLE, TYPES
from ptx.snippet import THREADS, evaluate

Scalar = int | float | bool
Reference = Callable[..., Any]

TINY = 2.0**-126
REALS = [0.0, -0.0, 1.0, -1.0, 1.5, 3.0, 1e-40, -1e-45, TINY, -TINY, 2.0**-149, 1 + 2.0**-23, 3.4e38, -3.4e38, 1e20,
         math.inf, -math.inf, math.nan]  # fmt: skip


def to_float32(x: Fraction) -> float:
    """To nearest, ties to even."""
    if x == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(x.numerator)) - math.log2(x.denominator)) - 1
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    quantum = Fraction(2) ** (max(exponent, -126) - 23)
    value = round(x / quantum) * quantum
    return math.copysign(math.inf if abs(value) >= Fraction(2) ** 128 else float(value), x)


def real(function: Reference) -> Reference:
    """Exact where operands and result are finite and not zero (whose sign a fraction lacks), else IEEE in float64."""

    def reference(*operands: float) -> float:
        approximate = function(*operands)
        if not all(map(math.isfinite, [*operands, approximate])) or approximate == 0:
            return approximate
        return to_float32(function(*map(Fraction, operands)))

    return reference


def quotient(a: Any, b: Any) -> Any:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def flushed(function: Reference) -> Reference:
    def flush(x: float) -> float:
        return math.copysign(0.0, x) if abs(x) < TINY else x

    return lambda *operands: flush(function(*map(flush, operands)))


def largest(a: float, b: float) -> float:
    return b if math.isnan(a) else a if math.isnan(b) else max(a, b, key=lambda x: (x, math.copysign(1, x)))


def smallest(a: float, b: float) -> float:
    return b if math.isnan(a) else a if math.isnan(b) else min(a, b, key=lambda x: (x, math.copysign(1, x)))


def or_nan(function: Reference) -> Reference:
    return lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else function(a, b)


def power_of_two(x: float) -> float:
    try:
        return 2.0**x
    except OverflowError:
        return math.inf


def logarithm(x: float) -> float:
    return -math.inf if x == 0 else math.nan if x < 0 or math.isnan(x) else math.log2(x)


def shift_right(width: int) -> Reference:
    return lambda a, n: a >> min(n, width)


def bit_field(a: int, start: int, length: int) -> int:
    return (a >> (start & 0xFF)) & ((1 << (length & 0xFF)) - 1)


def permuted(a: int, b: int, selector: int) -> int:
    octets = a.to_bytes(4, "little") + b.to_bytes(4, "little")
    chosen = [(selector >> 4 * i) & 0xF for i in range(4)]
    return int.from_bytes([0xFF * (octets[c & 7] >> 7) if c & 8 else octets[c & 7] for c in chosen], "little")


def towards_zero(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def clamped(function: Reference) -> Reference:
    return lambda x: 0 if math.isnan(x) else function(max(-(2.0**31), min(2.0**31 - 1, x)))


def same(x: Scalar) -> Scalar:
    return x


def packed(upper: float, lower: float) -> int:
    return (bfloat_bits(upper) << 16) | bfloat_bits(lower)


def bfloat_bits(x: float) -> int:
    """To nearest, ties to even: of the two neighbours; the one after the largest is infinity, a step away."""
    low = int(np.float32(x).view(np.uint32)) >> 16
    if math.isnan(x) or math.isinf(x):
        return 0x7FFF if math.isnan(x) else low
    below = Fraction(bfloat(low))
    step = below - Fraction(bfloat(low - 1)) if math.isinf(bfloat(low + 1)) else Fraction(bfloat(low + 1)) - below
    share = (Fraction(x) - below) / step
    return low + (share > Fraction(1, 2) or (share == Fraction(1, 2) and low % 2 == 1))


def bfloat(bits: int) -> float:
    return float(np.array([bits << 16], np.uint32).view(np.float32)[0])


def references() -> dict[str, Reference]:
    table: dict[str, Reference] = {}

    def both(names: str, kinds: str, reference: Reference) -> None:
        table.update({f"{name}.{kind}": reference for name in names.split() for kind in kinds.split()})

    integers, bits = "s16 s32 s64 u16 u32 u64", "b16 b32 b64"
    both("add", integers, operator.add)
    both("sub", integers, operator.sub)
    both("mul.lo", integers, operator.mul)
    both("mul.wide", "s32 u32", operator.mul)
    both("mul.hi", "s32 u32", lambda a, b: (a * b) >> 32)
    both("mad.lo mad.wide", "s32 u32", lambda a, b, c: a * b + c)
    both("mad.lo", "s64 u64", lambda a, b, c: a * b + c)
    both("min", "s32 s64 u32 u64", min)
    both("max", "s32 s64 u32 u64", max)
    both("div", "s32 u32", towards_zero)
    both("rem", "s32 u32", lambda a, b: a - b * towards_zero(a, b))
    both("neg", "s32 s64", operator.neg)
    both("and", f"pred {bits}", operator.and_)
    both("or", f"pred {bits}", operator.or_)
    both("xor", f"pred {bits}", operator.xor)
    both("not", bits, operator.invert)
    table["not.pred"] = operator.not_
    both("shl", "b32 b64", lambda a, n: a << min(n, 64))
    both("shr", "s32 u32", shift_right(32))
    both("shr", "s64 u64", shift_right(64))
    table |= {"bfe.u32": bit_field, "prmt.b32": permuted}

    both("add add.rn", "f32 f32x2", real(operator.add))
    both("sub sub.rn", "f32 f32x2", real(operator.sub))
    both("mul mul.rn", "f32 f32x2", real(operator.mul))
    both("fma.rn", "f32 f32x2 f32.bf16", real(lambda a, b, c: a * b + c))
    both("fma.rn.ftz", "f32", flushed(real(lambda a, b, c: a * b + c)))
    both("div.full div.rn", "f32", real(quotient))
    both("add.rn.f32", "bf16", real(operator.add))
    both("sub.rn.f32", "bf16", real(operator.sub))
    both("max", "f32", largest)
    both("min", "f32", smallest)
    both("max.NaN", "f32", or_nan(largest))
    both("min.NaN", "f32", or_nan(smallest))
    both("neg", "f32", operator.neg)
    both("abs", "f32", abs)
    both("add", "f64", operator.add)
    table["sqrt.rn.f32"] = lambda x: math.nan if x < 0 or math.isnan(x) else math.copysign(math.sqrt(abs(x)), x)
    for name, function in {"ex2": power_of_two, "lg2": logarithm, "rcp": lambda x: quotient(1.0, x)}.items():
        table |= {f"{name}.approx.f32": function, f"{name}.approx.ftz.f32": flushed(function)}

    both("cvt", "s64.s32 u64.u32 u32.u64 u32.u16 u16.u32 f64.f32 f32.bf16", same)
    both("cvt.rn", "f32.s32 f32.u32 f32.f64 bf16.f32", same)
    table |= {"cvt.rn.bf16x2.f32": packed}
    table |= {"cvt.rzi.s32.f32": clamped(math.trunc), "cvt.rni.s32.f32": clamped(round)}

    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        compare = getattr(operator, name)
        both(f"setp.{name}", integers, compare)
        both(f"setp.{name}", "f32 bf16", lambda a, b, c=compare: c(a, b) and a == a and b == b)
        both(f"setp.{name}u", "f32 bf16", lambda a, b, c=compare: c(a, b) or a != a or b != b)
        if name in ("eq", "ne"):
            both(f"setp.{name}", bits, compare)
    table["setp.num.f32"] = lambda a, b: a == a and b == b
    table["setp.nan.f32"] = lambda a, b: a != a or b != b
    return table


REFERENCES = references()


def samples(kind: str, generator: np.random.Generator, nonzero: bool) -> NDArray:
    """Edge cases and random values of a type, shuffled."""
    if kind == "f32x2":
        return np.stack([samples("f32", generator, False) for _ in range(2)], 1).view(np.uint64).reshape(-1)
    dtype = np.dtype({"pred": np.uint32, "bf16": np.float32}.get(kind, TYPES[kind]))
    if kind == "pred":
        values = np.arange(THREADS, dtype=dtype) % 2
    elif dtype.kind == "f":
        spread = generator.standard_normal(THREADS) * 2.0 ** generator.integers(-8, 8, THREADS)
        values = np.concatenate([np.array(REALS), spread])[:THREADS].astype(dtype)
    else:
        bound = np.iinfo(dtype)
        edges = np.array([bound.min, bound.max, 0, 1, 2, 31, 32, 33, 63, 64], dtype)
        random = generator.integers(bound.min, bound.max, THREADS, dtype, endpoint=True)
        values = np.concatenate([edges, random >> generator.integers(0, 8 * dtype.itemsize, THREADS).astype(dtype)])[
            :THREADS
        ]
        values = np.where(values == 0, 1, values).astype(dtype) if nonzero else values
    values = generator.permutation(values)
    return (values.view(np.uint32) >> 16).astype(np.uint16) if kind == "bf16" else values


def scalars(values: NDArray, kind: str) -> list[Scalar]:
    if kind == "pred":
        return [bool(value) for value in values]
    if kind == "bf16":
        return [bfloat(int(bits)) for bits in values]
    return (values.view(np.float32) if kind == "f32x2" else values).tolist()


def run(opcode: str, sources: list[NDArray]) -> NDArray:
    """The instruction, one element a thread."""
    operation = TABLE[opcode]
    names = {1: "%p", 2: "%rs", 4: "%r", 8: "%rd"}

    def name(kind: str, i: int) -> str:
        return names[1 if kind == "pred" else np.dtype(TYPES[kind]).itemsize] + str(i)

    body = "".join(f"setp.ne.b32 %p{i}, %r{i}, 0;\n" for i, kind in enumerate(operation.sources) if kind == "pred")
    operands = [name(operation.result, 50), *(name(kind, i) for i, kind in enumerate(operation.sources))]
    body += f"{opcode} {', '.join(operands)};\n"
    if operation.result == "pred":
        return evaluate(f"{body}selp.b32 %r50, 1, 0, %p50;\n", sources, np.uint32, "%r50")
    return evaluate(body, sources, TYPES[operation.result], operands[0])


def test_every_instruction_has_a_reference() -> None:
    assert set(REFERENCES) == set(TABLE)


@pytest.mark.parametrize("opcode", sorted(TABLE))
def test_instruction(opcode: str) -> None:
    operation = TABLE[opcode]
    generator = np.random.default_rng(sorted(TABLE).index(opcode))
    divides = opcode.startswith(("div.s", "div.u", "rem."))
    sources = [samples(kind, generator, divides and i == 1) for i, kind in enumerate(operation.sources)]
    got = scalars(run(opcode, sources), operation.result)
    operands = zip(*(scalars(*pair) for pair in zip(sources, operation.sources, strict=True)), strict=True)
    for result, arguments in zip(got, operands, strict=True):
        expected = REFERENCES[opcode](*arguments)
        if isinstance(result, bool):
            assert result == bool(expected), arguments
        elif isinstance(result, int):
            width = 8 * np.dtype(TYPES[operation.result]).itemsize
            assert (result - expected) % (1 << width) == 0, arguments
        elif math.isnan(expected):
            assert math.isnan(result), arguments
        else:
            check_real(opcode, operation.result, result, expected, arguments)


def check_real(opcode: str, kind: str, result: float, expected: float, arguments: tuple[Scalar, ...]) -> None:
    if kind == "bf16":
        expected = bfloat(bfloat_bits(float(np.float32(expected))))
    elif kind != "f64":
        with np.errstate(over="ignore"):
            expected = float(np.float32(expected))
    assert math.copysign(1, result) == math.copysign(1, expected), arguments
    close = math.isfinite(expected) and abs(result - expected) <= 2.0**-23 * abs(expected)
    assert result == expected or (".approx." in opcode and close), arguments


def test_fused_multiply_add_rounds_once() -> None:
    """A sum that float64 cannot hold: rounded there first, it ends on the wrong side of a tie."""
    a, b = np.full(THREADS, 1 + 2.0**-12, np.float32), np.full(THREADS, 1 + 2.0**-12, np.float32)
    c = np.full(THREADS, 2.0**-60, np.float32)
    exact = to_float32(Fraction(float(a[0])) * Fraction(float(b[0])) + Fraction(float(c[0])))
    assert float(run("fma.rn.f32", [a, b, c])[0]) == exact
    assert float(np.float32(float(a[0]) * float(b[0]) + float(c[0]))) != exact
