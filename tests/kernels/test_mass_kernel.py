"""The Triton kernel of the mass operator on Triton's interpreter; as a script, what runs there."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physgen.ops.frame_mass import LANES, STEPS, mass

BLOCK = STEPS * LANES
SHAPES = [(1, 1, 1, 1), (2, 3, 2, 5), (1, 2, 3, 7, 11), (1, 1, 2, 97, 101), (1, 2, 1, 4, 16, 128), (1, 1, 3, BLOCK + 1)]
DTYPES = [torch.float32, torch.bfloat16, torch.float64]

Result = tuple[Tensor, Tensor, Tensor, bool]


def fields(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return (torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5).to(dtype)


def interpret() -> list[Result]:
    results = []
    for shape, dtype in itertools.product(SHAPES, DTYPES):
        values = fields(shape, dtype).requires_grad_()
        signed, absolute = mass(values, "triton")
        (gradient,) = torch.autograd.grad(signed.square().sum() / 2, values)
        repeats = torch.equal(mass(values, "triton")[0], signed)
        results.append((signed.detach(), absolute, gradient, repeats))
    return results


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[tuple[int, ...], torch.dtype], Result]:
    """Every case, in one other process: Triton reads the variable when it is imported."""
    pytest.importorskip("triton")
    out = tmp_path_factory.mktemp("mass") / "results.pt"
    subprocess.run([sys.executable, __file__, str(out)], check=True, env=os.environ | {"TRITON_INTERPRET": "1"})
    return dict(zip(itertools.product(SHAPES, DTYPES), torch.load(out), strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_interpreted_kernel_agrees_with_float64(
    interpreted: dict[tuple[tuple[int, ...], torch.dtype], Result], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    signed, absolute, gradient, repeats = interpreted[shape, dtype]
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
    torch.save(interpret(), Path(sys.argv[1]))
