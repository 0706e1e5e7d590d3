"""The Triton kernel of the mass operator on Triton's interpreter; as a script, what runs there."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from interpreter import interpret

from physgen.ops.frame_mass import LANES, STEPS, mass

BLOCK = STEPS * LANES
SHAPES = [(1, 1, 1, 1), (2, 3, 2, 5), (1, 2, 3, 7, 11), (1, 1, 2, 97, 101), (1, 2, 1, 4, 16, 128), (1, 1, 3, BLOCK + 1)]
DTYPES = [torch.float32, torch.bfloat16, torch.float64]

CASES = list(itertools.product(SHAPES, DTYPES))
Result = tuple[Tensor, Tensor, Tensor, bool]


def fields(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return (torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5).to(dtype)


def run() -> list[Result]:
    results = []
    for shape, dtype in CASES:
        values = fields(shape, dtype).requires_grad_()
        signed, absolute = mass(values, "triton")
        (gradient,) = torch.autograd.grad(signed.square().sum() / 2, values)
        repeats = torch.equal(mass(values, "triton")[0], signed)
        results.append((signed.detach(), absolute, gradient, repeats))
    return results


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.slow
def test_interpreted_kernel_agrees_with_float64(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    signed, absolute, gradient, repeats = interpret(__file__, "all")[CASES.index((shape, dtype))]
    exact = fields(shape, dtype).double().flatten(3)
    size = exact.abs().sum(-1)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-7
    assert repeats
    assert ((signed - exact.sum(-1)).abs() <= tolerance * size).all()
    assert ((absolute - size).abs() <= tolerance * size).all()
    expected = exact.sum(-1, keepdim=True)
    assert gradient.dtype == dtype
    rounding = torch.finfo(dtype).eps * expected.abs() + tolerance * size[..., None]
    assert ((gradient.flatten(3) - expected).abs() <= rounding).all()


if __name__ == "__main__":
    torch.save(run(), sys.argv[1])
