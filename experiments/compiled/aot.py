"""Compile a kernel with no GPU, and read what came out."""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physgen.errors import InvalidArgument
from physgen.experiments.compiled.listing import Listing, parse_amdgcn, parse_sass
from physgen.experiments.compiled.spec import KernelSpec

#: backend, architecture, threads of a warp
TARGETS: dict[str, tuple[str, int | str, int]] = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}


@dataclass(frozen=True)
class Report:
    """What a kernel compiled to.

    Attributes:
        kernel: its name.
        system: the reaction system it was generated for, or ``-``.
        boundary: that it was specialised for, or ``-``.
        target: GPU architecture.
        dtype: of the fields.
        registers: vector registers of a thread.
        spill_bytes: that a thread moves from registers to memory, for want of registers.
        convert_layouts: exchanges of a tile between threads, ``ttg.convert_layout`` in Triton's GPU IR.
        shared_bytes: shared memory of a program.
        instructions: of the kernel, no-ops apart.
        instructions_per_element: executed by all threads of a program per element it handles.
        counted: what those are of: ``loop``, an iteration in the steady state, or ``kernel``, if it has no loop.
        barriers: of a program, in its code.
    """

    kernel: str
    system: str
    boundary: str
    target: str
    dtype: str
    registers: int
    spill_bytes: int
    convert_layouts: int
    shared_bytes: int
    instructions: int
    instructions_per_element: float
    counted: str
    barriers: int


def compile_kernel(spec: KernelSpec, target: str) -> Any:
    """Triton's compiled kernel, with its stages in ``asm``; needs neither a GPU, a driver nor a C compiler.

    Raises:
        InvalidArgument: an unknown target, or a process in which Triton interprets.
    """
    if target not in TARGETS:
        raise InvalidArgument("target", target, ", ".join(TARGETS))
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise InvalidArgument("TRITON_INTERPRET", "1", "unset, to compile")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = spec.function.arg_names
    source = ASTSource(
        spec.function,
        {name: "constexpr" if name in spec.constexprs else spec.signature[name] for name in names},
        constexprs=dict(spec.constexprs),
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in spec.aligned},
    )
    return triton.compile(source, target=GPUTarget(*TARGETS[target]), options={"num_warps": spec.num_warps})


def report(spec: KernelSpec, target: str) -> Report:
    """Compile a kernel and measure it.

    instructions per element = instructions of the loop x threads / (elements of an iteration x times it is unrolled)

    Source: registers from ``cuobjdump -res-usage`` and from the metadata of AMD's code object.
    """
    compiled = compile_kernel(spec, target)
    backend, _, warp = TARGETS[target]
    measured = nvidia(compiled.asm["cubin"]) if backend == "cuda" else amd(compiled.asm["amdgcn"])
    listing, registers, spilled = measured
    threads = warp * spec.num_warps
    loop = listing.loops()
    repeated = unrolled(loop, threads, compiled.asm["ttgir"])
    counted, each = (loop, spec.elements * repeated) if repeated else (listing, spec.elements)
    return Report(
        kernel=spec.name,
        system=spec.system,
        boundary=spec.boundary,
        target=target,
        dtype=spec.dtype,
        registers=registers,
        spill_bytes=spilled,
        convert_layouts=compiled.asm["ttgir"].count("ttg.convert_layout"),
        shared_bytes=compiled.metadata.shared,
        instructions=listing.count(),
        instructions_per_element=counted.count() * threads / each,
        counted="loop" if repeated else "kernel",
        barriers=listing.count("BAR.", "s_barrier"),
    )


def unrolled(loop: Listing, threads: int, ttgir: str) -> int:
    r"""Iterations of the source's loops in one of the machine's, by the bytes they move; 0 if they move none.

    >>> ttgir = "scf.for %i {\n tt.store %p, %x : tensor<8x16x!tt.ptr<f32>, #blocked>\n }"
    >>> loop = parse_sass("/*0000*/ STG.E.128 [R2], R0 ; /*0010*/ STG.E.128 [R2], R0 ; /*0020*/ @P0 BRA 0x0 ;").loops()
    >>> unrolled(loop, 32, ttgir)
    2
    """
    expected = _bytes_of_loops(ttgir, threads)
    return max(1, round(loop.bytes_moved() / expected)) if expected else 0


def _bytes_of_loops(ttgir: str, threads: int) -> float:
    """Bytes that loops of Triton's GPU IR move per thread and iteration; a thread has at least one element."""
    total, depth = 0.0, 0
    for line in ttgir.splitlines():
        if depth or "scf.for" in line or "scf.while" in line:
            depth += line.count("{") - line.count("}")
            access = re.search(r"tt\.(?:load|store) .*tensor<([\dx]+)x!tt\.ptr<[a-z]+(\d+)>", line)
            if access:
                elements = math.prod(map(int, access[1].split("x")))
                total += int(access[2]) / 8 * max(1.0, elements / threads)
    return total


def nvidia(cubin: bytes) -> tuple[Listing, int, int]:
    """Instructions, registers and bytes spilled of machine code; the tool that reads it is in Triton's package."""
    import triton.backends.nvidia

    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        usage, sass = (
            subprocess.run([tool, flag, file.name], capture_output=True, text=True, check=True).stdout
            for flag in ("-res-usage", "-sass")
        )
    listing = parse_sass(sass)
    return listing, _number(r"\bREG:(\d+)", usage), listing.bytes_spilled()


def amd(text: str) -> tuple[Listing, int, int]:
    r"""Instructions, vector registers and bytes spilled of assembly and its metadata.

    >>> amd("\ts_endpgm\n.Lfunc_end0:\n .vgpr_count:     40\n .vgpr_spill_count: 3\n")[1:]
    (40, 12)
    """
    registers, spilled = (_number(rf"\.{name}:\s+(\d+)", text) for name in ("vgpr_count", "vgpr_spill_count"))
    return parse_amdgcn(text), registers, 4 * spilled


def _number(pattern: str, text: str) -> int:
    (number,) = re.findall(pattern, text)
    return int(number)
