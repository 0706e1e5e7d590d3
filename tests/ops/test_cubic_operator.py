"""Cubic convolution in one pass: the reference's values, slopes and gradients, and what they are of polynomials."""

import itertools

import pytest
import torch
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.ops.cubic import interpolate

SHAPES = [(1, 1, 4, 4), (2, 3, 5, 9), (3, 1, 17, 6)]
DTYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5)]
CASES = list(itertools.product(SHAPES, DTYPES, [True, False]))


def case(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Frames, and places up to a frame outside of them, some of them exactly at pixels."""
    generator = torch.Generator().manual_seed(sum(shape))
    count, _, height, width = shape
    frames = torch.randn(shape, generator=generator, dtype=torch.float64)
    places = torch.rand(count, 2, height, width, generator=generator, dtype=torch.float64) * 3 - 1
    places = places * torch.tensor([height, width]).view(2, 1, 1)
    places[..., ::2] = places[..., ::2].round()
    return frames.to(dtype), places.to(dtype)


@pytest.mark.parametrize(("shape", "precision", "wraps"), CASES)
def test_agrees_with_the_reference(shape: tuple[int, ...], precision: tuple[torch.dtype, float], wraps: bool) -> None:
    dtype, tolerance = precision
    frames, places = case(shape, dtype)
    found = [interpolate(frames.requires_grad_(), places, wraps, backend) for backend in ("numba", "reference")]
    weights = [torch.randn_like(x) for x in found[0]]
    gradients = [torch.autograd.grad(of, frames, weights)[0] for of in found]
    for ours, theirs in zip((*found[0], gradients[0]), (*found[1], gradients[1]), strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("wraps", [True, False])
def test_gradients_of_both_orders(wraps: bool) -> None:
    frames, places = case((2, 2, 4, 5), torch.float64)
    assert torch.autograd.gradcheck(lambda x: interpolate(x, places, wraps, "numba"), frames.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda x: interpolate(x, places, wraps, "numba"), frames)
    torch.library.opcheck(torch.ops.physgen.cubic, (frames, places, wraps))
    torch.library.opcheck(
        torch.ops.physgen.cubic_back, (frames.detach(), torch.stack([frames, frames], 1), places, wraps)
    )


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_quadratics_are_exact(backend: str) -> None:
    y, x = torch.meshgrid(*[torch.arange(9.0, dtype=torch.float64)] * 2, indexing="ij")
    frames = (2 * y**2 - x * y + 3 * x)[None, None]
    places = 2 + 4 * torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, slopes = interpolate(frames, places, False, backend)
    y, x = places[0]
    torch.testing.assert_close(values[0, 0], 2 * y**2 - x * y + 3 * x)
    torch.testing.assert_close(slopes[0, :, 0], torch.stack([4 * y - x, 3 - y]))


def test_refuses() -> None:
    frames, places = case((1, 1, 4, 4), torch.float32)
    with pytest.raises(InvalidArgument, match=r"places=torch.float64: allowed"):
        interpolate(frames, places.double(), True)
    with pytest.raises(InvalidArgument, match="allowed: reference, numba"):
        interpolate(frames, places, True, "triton")
