"""The compiled search for a flow finds what the search in torch finds."""

import pytest
import torch
from carried_fields import carried, taylor_green
from torch import Tensor

from physgen.constraints import Transport
from physgen.constraints.transport import coherence, solve
from physgen.constraints.transport.motion import Motion
from physgen.constraints.transport.smoothing import modes
from physgen.ops import cubic
from physgen.stencil import laplacian


def textures(height: int, width: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(1, 2, 4, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.cumsum(3).cumsum(4)
    return (x / x.std()).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
@pytest.mark.parametrize("walls", ["free", "no-slip", "periodic"])
@pytest.mark.parametrize("steady", [False, True])
def test_steps_agree(walls: str, steady: bool, dtype: torch.dtype, tolerance: float) -> None:
    for height, width in ((12, 15), (9, 8)):
        motion = Motion(True, walls, height, width, (0.8, 1.25))
        problem = solve._Problem(textures(height, width, dtype), motion, 0.1, steady, walls == "periodic", False)
        z = torch.zeros(1 if steady else 3, motion.unknowns, dtype=dtype)
        left = problem.at(z)
        gradient, going = problem.gradient(z, left), torch.tensor([True] if steady else [True, False, True])
        steps = []
        for kind in ("numba", "reference"):
            problem.compiled = kind
            steps.append(problem.solution(left, gradient, going))
        assert steps[1][0].abs().max() > 1e-3
        torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=tolerance * float(steps[1].abs().max()))


def test_loss_and_gradient_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fields, _, grid = carried(taylor_green, 24, 4, 0.1, species=2)
    fields = fields + 0.05 * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0), dtype=fields.dtype)
    found = []
    for backend in ("numba", "reference"):
        for module in (solve, cubic):
            monkeypatch.setattr(module, "resolve_backend", lambda *_, backend=backend: backend)
        x = fields.clone().requires_grad_()
        loss = Transport().loss(x, grid).sum()
        found.append((loss.detach(), *torch.autograd.grad(loss, x)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8 * float(theirs.abs().max()))


@pytest.mark.parametrize("walls", ["no-flux", "dirichlet", "periodic"])
@pytest.mark.parametrize("cells", [2, 5, 8])
def test_modes_are_those_of_the_laplacian(walls: str, cells: int) -> None:
    angles, vectors = modes(cells, walls)
    matrix = laplacian(torch.eye(cells, dtype=torch.float64).view(1, 1, cells, cells), (1.0,), walls)[0, 0]
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(cells, dtype=torch.float64))
    torch.testing.assert_close(-vectors.T @ matrix @ vectors, torch.diag(2 - 2 * angles.cos()))
    even = (cells + 1) // 2
    mirror = vectors.flip(0)
    torch.testing.assert_close(mirror, torch.cat([vectors[:, :even], -vectors[:, even:]], 1))


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coherence_agrees(monkeypatch: pytest.MonkeyPatch, background: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = coherence.rows_of(torch.randn(2, 2, 9, 5, 12, generator=generator, dtype=dtype), background)
    speed = 3 * torch.randn(2, 5, 4, generator=generator, dtype=dtype)
    speed[:, :, 0] = 0
    compiled = rows.explained(speed)
    monkeypatch.setattr(coherence, "resolve_backend", lambda *_: "reference")
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(compiled, rows.explained(speed), rtol=tolerance, atol=tolerance)
