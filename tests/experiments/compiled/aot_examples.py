"""Two kernels and their reports: ``python aot_examples.py OUT``, where Triton compiles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import triton
import triton.language as tl
from triton.backends.nvidia.compiler import get_ptxas

from physgen.experiments.compiled.__main__ import run
from physgen.experiments.compiled.aot import compile_kernel
from physgen.experiments.compiled.spec import KernelSpec


@triton.jit
def running_sum(X, Y, T, N, BLOCK: tl.constexpr):
    """Y[t] = X[0] + ... + X[t]: a multiply-add, a load and a store per element of the loop."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for t in range(T):
        total += tl.load(X + t * N + n).to(tl.float32)
        tl.store(Y + t * N + n, total)


@triton.jit
def outer_sums(X, Y, BLOCK: tl.constexpr):
    """All pairs at once, held across two reductions: far more values than registers."""
    n = tl.arange(0, BLOCK)
    x = tl.load(X + n)
    pairs = tl.exp(x[:, None] * x[None, :])
    pairs = pairs / tl.sum(pairs, axis=1)[:, None]
    tl.store(Y + n[:, None] * BLOCK + n[None, :], pairs / tl.sum(pairs, axis=0)[None, :])


FRUGAL = KernelSpec(
    "running_sum", "-", "-", "bf16", running_sum, {"X": "*bf16", "Y": "*fp32", "T": "i32", "N": "i32"},
    {"BLOCK": 512}, ("X", "Y", "N"), 4, 512,
)  # fmt: skip
GREEDY = KernelSpec(
    "outer_sums", "-", "-", "fp32", outer_sums, {"X": "*fp32", "Y": "*fp32"}, {"BLOCK": 128}, ("X", "Y"), 2, 128 * 128
)


def assembler_says() -> str:
    """What the assembler reports of the greedy kernel, with the options that Triton gives it."""
    command = [
        get_ptxas(90).path,
        "-v",
        "-lineinfo",
        "--regAllocOptLevel=2",
        "--gpu-name=sm_90a",
        "-o",
        "/dev/null",
        "-",
    ]
    ptx = compile_kernel(GREEDY, "sm_90").asm["ptx"]
    return subprocess.run(command, input=ptx, capture_output=True, text=True, check=True).stderr


def main(out: Path) -> None:
    """Reports of both, the exit status of each, and what the assembler says."""
    statuses = [
        run(lambda lanes: [FRUGAL], out / "frugal.json"),
        run(lambda lanes: [FRUGAL, GREEDY], out / "greedy" / "kernels.json"),
    ]
    (out / "rest.json").write_text(json.dumps({"statuses": statuses, "assembler": assembler_says()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
