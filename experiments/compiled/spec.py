"""What it takes to compile a kernel ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KernelSpec:
    """A kernel as its operator launches it.

    Attributes:
        name: of the kernel.
        system: the reaction system it was generated for, or ``-``.
        boundary: that it was specialised for, or ``-``.
        dtype: of the fields, ``fp32`` or ``bf16``.
        function: the ``triton.jit`` function.
        signature: Triton type of each argument that is not in ``constexprs``.
        constexprs: value of each compile-time argument.
        aligned: arguments (pointers and integers) that are multiples of 16.
        num_warps: warps per program.
        elements: species times frames times pixels that a program handles per loop iteration (in all, without a loop).

    >>> KernelSpec("copy", "-", "-", "fp32", None, {"X": "*fp32"}, {"N": 64}, ("X",), 4, 64).elements
    64
    """

    name: str
    system: str
    boundary: str
    dtype: str
    function: Any
    signature: Mapping[str, str]
    constexprs: Mapping[str, int | float | bool]
    aligned: tuple[str, ...]
    num_warps: int
    elements: int
