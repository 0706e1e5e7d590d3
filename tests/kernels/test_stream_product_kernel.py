"""The Triton kernel of a stream function's matrix on Triton's interpreter; as a script, what runs there."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from interpreter import interpret

from physgen.constraints.transport.motion import Motion
from physgen.ops.stream_flow import BLOCK, stream_product

SHAPES = [(1, 4, 4), (3, 7, 12), (1, 5, BLOCK // 4 + 1)]
CASES = [
    (shape, walls, dtype)
    for shape in SHAPES
    for walls in ("free", "no-slip")
    for dtype in (torch.float32, torch.float64)
]
SPACING, STIFFNESS = (0.8, 1.25), 0.3


def problem(shape: tuple[int, int, int], walls: str, dtype: torch.dtype) -> tuple[Motion, Tensor, Tensor]:
    count, height, width = shape
    generator = torch.Generator().manual_seed(height)
    motion = Motion(True, walls, height, width, SPACING)
    z = torch.randn(count, motion.unknowns, generator=generator, dtype=torch.float64)
    return motion, z.to(dtype), torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64).to(dtype)


def run() -> list[tuple[Tensor, bool]]:
    results = []
    for shape, walls, dtype in CASES:
        _, z, tensors = problem(shape, walls, dtype)
        found = stream_product(z, tensors, STIFFNESS, SPACING, walls)
        results.append((found, torch.equal(found, stream_product(z, tensors, STIFFNESS, SPACING, walls))))
    return results


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.slow
def test_interpreted_kernel_agrees_with_float64(case: tuple[tuple[int, int, int], str, torch.dtype]) -> None:
    found, repeats = interpret(__file__, "all")[CASES.index(case)]
    motion, z, tensors = problem(*case)
    d, (yy, yx, xx) = motion.displacement(z.double()), tensors.double().unbind(1)
    y, x = d.unbind(1)
    force = torch.stack([yy * y + yx * x, yx * y + xx * x], 1) + STIFFNESS * motion.stiffness(d)
    exact = motion.transposed(force)
    tolerance = 1e-6 if case[2] == torch.float32 else 1e-13
    assert repeats
    assert found.dtype == case[2]
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=tolerance * float(exact.abs().max()))


if __name__ == "__main__":
    torch.save(run(), sys.argv[1])
