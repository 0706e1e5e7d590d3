"""Registers of a CTA: bits in every thread, and which of them were ever written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptx.errors import Fault, Refused
from ptx.instructions import BITS, TYPES
from ptx.parser import Immediate, Operand, Register, Sink, Special, Symbol

Mask = NDArray[np.bool_]

SHARED_BASE = 1 << 16


@dataclass(frozen=True)
class Value:
    """Bits ``[threads]``; ``written`` marks those with a value, all of them when None.

    Triton reads registers that some threads never wrote, in lanes of a reduction whose results nobody uses. So that is
    no fault in itself: what was computed from them counts as never written too, and using that is one.
    """

    bits: NDArray
    written: NDArray | None = None

    def mask(self) -> NDArray:
        """One bit for each bit."""
        return np.full_like(self.bits, _ones(self.bits.dtype)) if self.written is None else self.written

    def defined(self) -> Mask:
        """Threads that have a value in full."""
        return np.asarray(self.mask() == _ones(self.bits.dtype))

    def use(self, active: Mask, purpose: str) -> NDArray:
        """The bits, where the active threads all have some.

        Raises:
            Fault: a thread never wrote them.
        """
        if self.written is not None and (active & ~self.defined()).any():
            raise Fault(f"{purpose} was never written in thread {np.flatnonzero(active & ~self.defined())[0]}")
        return self.bits


def _ones(dtype: np.dtype) -> NDArray:
    return ~np.zeros((), dtype)


def select(chosen: Mask, yes: Value, no: Value) -> Value:
    """``yes`` where chosen."""
    whole = yes.written is None and no.written is None
    written = None if whole else np.where(chosen, yes.mask(), no.mask())
    return Value(np.where(chosen, yes.bits, no.bits), written)


def join(low: Value, high: Value) -> Value:
    """Two registers as one of twice the width."""

    def pack(low: NDArray, high: NDArray) -> NDArray:
        return np.stack([low, high], 1).view(BITS[low.dtype.itemsize * 16]).reshape(-1)

    whole = low.written is None and high.written is None
    return Value(pack(low.bits, high.bits), None if whole else pack(low.mask(), high.mask()))


def split(value: Value) -> tuple[Value, Value]:
    """The low and the high half of a register."""
    half = BITS[value.bits.dtype.itemsize * 4]
    bits = value.bits.view(half).reshape(-1, 2)
    mask = None if value.written is None else value.written.view(half).reshape(-1, 2)
    low, high = (Value(bits[:, i].copy(), None if mask is None else mask[:, i].copy()) for i in (0, 1))
    return low, high


def width_of(kind: str) -> int:
    """Bits of a PTX type."""
    return 1 if kind == "pred" else np.dtype(TYPES[kind]).itemsize * 8


class Registers:
    """What instructions read and write."""

    def __init__(self, special: dict[str, NDArray[np.uint32]], shared: tuple[str, ...]) -> None:
        self.special, self.shared = special, shared
        self.threads = len(special["%laneid"])
        self.values: dict[str, Value] = {}

    def read(self, operand: Operand, kind: str) -> Value:
        """An operand as a PTX type.

        Raises:
            Refused: of another width, or no such thing.
        """
        width = width_of(kind)
        dtype = np.dtype(bool if kind == "pred" else BITS[width])
        if isinstance(operand, Register) and operand.width == width:
            nothing = np.zeros(self.threads, dtype)
            return self.values.get(operand.name, Value(nothing, nothing))
        if isinstance(operand, Special) and width == 32:
            return Value(self.special[operand.name])
        if isinstance(operand, Symbol) and operand.name in self.shared and width in (32, 64):
            return Value(np.full(self.threads, SHARED_BASE, dtype))
        if isinstance(operand, Immediate):
            return Value(np.full(self.threads, _constant(operand, kind, width), dtype))
        raise Refused(f"{operand} as {kind}")

    def write(self, operand: Operand, value: Value, active: Mask) -> None:
        """Set a register in the active threads.

        Raises:
            Refused: of another width, or no register.
        """
        if isinstance(operand, Sink):
            return
        width = 1 if value.bits.dtype == bool else value.bits.dtype.itemsize * 8
        if not isinstance(operand, Register) or operand.width != width:
            raise Refused(f"{width} bits into {operand}")
        if not active.all():
            nothing = np.zeros_like(value.bits)
            value = select(active, value, self.values.get(operand.name, Value(nothing, nothing)))
        self.values[operand.name] = value


def _constant(immediate: Immediate, kind: str, width: int) -> int:
    real = kind in ("f32", "f64", "bf16", "f32x2")
    if immediate.width not in (None, width) or (real and immediate.width is None):
        raise Refused(f"{immediate} as {kind}")
    if not -(1 << (width - 1)) <= immediate.value < 1 << width:
        raise Refused(f"{immediate.value} in {width} bits")
    return immediate.value & ((1 << width) - 1)
