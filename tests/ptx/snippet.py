"""Hand-written kernels for tests: one instruction, or a few, between loads and stores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ptx.machine import launch
from ptx.memory import GlobalMemory
from ptx.parser import Program, parse

THREADS = 64


def kernel(body: str, parameters: Sequence[str] = (), threads: int = THREADS) -> Program:
    """A kernel with 64 registers of each width; Triton's two scratch pointers come after the parameters."""
    declared = ",\n".join(f".param .{kind} k_param_{i}" for i, kind in enumerate([*parameters, "u64", "u64"]))
    return parse(f"""
.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 16 .b8 global_smem[];
.visible .entry k(
{declared}
)
.reqntid {threads}
{{
.reg .pred %p<64>;
.reg .b16 %rs<64>;
.reg .b32 %r<64>;
.reg .b64 %rd<64>;
{body}
ret;
}}
""")


def place_of(thread: str, width: int, parameter: int, address: str) -> str:
    """Code for the address of a thread's element of ``width`` bytes."""
    return f"ld.param.b64 {address}, [k_param_{parameter}]; mad.wide.u32 {address}, {thread}, {width}, {address};\n"


def evaluate(body: str, sources: Sequence[NDArray], dtype: DTypeLike, result: str) -> NDArray:
    """Run ``body`` on one element a thread: sources are in %p0, %r0, %rd0 ..., by width; the result is in ``result``.

    16 bits are in %rs0 ..., booleans are bytes and arrive in %p0 ....
    """
    names = {2: "%rs", 4: "%r", 8: "%rd"}
    code = "mov.u32 %r60, %tid.x;\n"
    for i, source in enumerate(sources):
        width = source.dtype.itemsize
        code += place_of("%r60", width, i, "%rd60") + f"ld.global.b{8 * width} {names[width]}{i}, [%rd60];\n"
    width = np.dtype(dtype).itemsize
    code += body + place_of("%r60", width, len(sources), "%rd60")
    code += f"st.global.b{8 * width} [%rd60], {result};\n"
    memory = GlobalMemory()
    arguments = [memory.place(f"source {i}", source) for i, source in enumerate(sources)]
    arguments.append(memory.reserve("result", THREADS * width))
    launch(kernel(code, ["u64"] * len(arguments)), (1, 1, 1), arguments, memory)
    return memory.fetch(arguments[-1], (THREADS,), dtype)
