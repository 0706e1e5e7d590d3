"""Eigenbases reproduce the stencil, and heat kernels are those of a semigroup that conserves."""

import math

import pytest
import torch

from physgen.dynamics.spectral import eigenbasis, heat_kernel, transform
from physgen.errors import InvalidArgument
from physgen.stencil import WALLS, laplacian

every_wall = pytest.mark.parametrize("boundary", WALLS)
every_order = pytest.mark.parametrize("order", [2, 4])
SPACING = (0.5, 2.0, 1.5)


@every_wall
@every_order
@pytest.mark.parametrize("shape", [(7,), (6, 5), (4, 5, 3)])
def test_diagonalises_the_stencil(boundary: str, order: int, shape: tuple[int, ...]) -> None:
    u = torch.randn(2, 2, 3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bases = [eigenbasis(n, h, boundary, order) for n, h in zip(shape, SPACING, strict=False)]
    modes = transform(u, [vectors.T for _, vectors in bases])
    scaled = torch.zeros_like(modes)
    for axis, (values, _) in enumerate(bases, start=3):
        scaled += modes * values.view(-1, *[1] * (u.ndim - 1 - axis))
    expected = laplacian(u, SPACING[: len(shape)], boundary, order)
    torch.testing.assert_close(transform(scaled, [vectors for _, vectors in bases]), expected, rtol=0, atol=1e-12)


@every_wall
@every_order
def test_is_orthonormal_and_decays(boundary: str, order: int) -> None:
    values, vectors = eigenbasis(9, 0.3, boundary, order)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-13)
    assert values.max() < (1e-12 if boundary != "dirichlet" else -1.0)
    assert (values.diff() <= 1e-12).all()


def test_second_order_eigenvalues_are_those_of_cosines_and_sines() -> None:
    n, h = 8, 0.5
    for boundary, phase in {
        "no-flux": [math.pi * k / n for k in range(n)],
        "dirichlet": [math.pi * k / n for k in range(1, n + 1)],
        "periodic": sorted(2 * math.pi * min(k, n - k) / n for k in range(n)),
    }.items():
        expected = -4 / h**2 * torch.sin(torch.tensor(phase, dtype=torch.float64) / 2).square()
        torch.testing.assert_close(eigenbasis(n, h, boundary)[0], expected, rtol=0, atol=1e-12)


@every_wall
@every_order
def test_heat_kernel_is_the_exponential_of_the_stencil(boundary: str, order: int) -> None:
    variance = torch.tensor([0.0, 0.3, 5.0], dtype=torch.float64)
    identity = torch.eye(6, dtype=torch.float64)
    matrix = laplacian(identity.view(1, 1, 6, 6), (0.7,), boundary, order)[0, 0]
    kernel = heat_kernel(6, 0.7, boundary, order, variance)
    for computed, time in zip(kernel, variance, strict=True):
        torch.testing.assert_close(computed, torch.matrix_exp(time * matrix), rtol=0, atol=1e-12)
    torch.testing.assert_close(kernel[1] @ kernel[1], heat_kernel(6, 0.7, boundary, order, 2 * variance)[1])
    if boundary != "dirichlet":
        torch.testing.assert_close(kernel.sum(-1), torch.ones(3, 6, dtype=torch.float64), rtol=0, atol=1e-13)
    if order == 2:
        assert kernel.min() > -1e-15


def test_every_species_has_its_own_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    rows, columns = (torch.randn(2, n, n, generator=generator, dtype=torch.float64) for n in (4, 5))
    expected = torch.einsum("bsthw,sgh,svw->bstgv", u, rows, columns)
    torch.testing.assert_close(transform(u, [rows, columns]), expected)


def test_refuses_what_has_no_laplacian() -> None:
    with pytest.raises(InvalidArgument, match="boundary='open'"):
        eigenbasis(4, 1.0, "open")
    with pytest.raises(InvalidArgument, match="order=3"):
        eigenbasis(4, 1.0, "periodic", 3)
