"""Constants that are tensors: one per sample, traced, or to be differentiated in."""

from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from physgen.equations.systems import reaction_system
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.ops.reaction_diffusion import reaction_diffusion_loss

SYSTEM = reaction_system("gray_scott")
GRID = Grid((1.0, 1.0), 1.0)
FK = {"F": 0.037, "k": 0.06}


def fields() -> Tensor:
    return torch.rand(2, 2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gradient_in_the_constants_goes_through_the_reference() -> None:
    u = fields()

    def loss(d: Tensor, f: Tensor, weight: Tensor) -> Tensor:
        values: dict[str, Any] = {"F": f, "k": 0.06}
        return reaction_diffusion_loss(u, SYSTEM, {"u": d, "v": 0.08}, values, GRID, weight=weight)

    d, f = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.1, 0.2], [0.03, 0.04]))
    weight = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (d, f, weight))
    with pytest.raises(InvalidArgument, match="backend='numba'"):
        reaction_diffusion_loss(u, SYSTEM, {"u": d, "v": 0.08}, FK, GRID, backend="numba")


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_another_number_of_constants_than_samples(backend: str) -> None:
    with pytest.raises(InvalidArgument, match="diffusivity"):
        reaction_diffusion_loss(fields(), SYSTEM, {"u": torch.ones(3), "v": 0.1}, FK, GRID, backend=backend)
    values: dict[str, Any] = {"F": torch.full((3,), 0.03), "k": 0.06}
    with pytest.raises(InvalidArgument, match="F="):
        reaction_diffusion_loss(fields(), SYSTEM, {"u": 0.2, "v": 0.1}, values, GRID, backend=backend)


def test_constants_of_each_sample_compile_into_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

    def objective(u: Tensor, feed: Tensor) -> Tensor:
        values: dict[str, Any] = {"F": feed, "k": 0.06}
        return reaction_diffusion_loss(u, SYSTEM, {"u": 0.2, "v": 0.1}, values, GRID, backend="numba").sum()

    u, feed = fields().requires_grad_(), torch.tensor([0.03, 0.04])
    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(u, feed), objective(u, feed))
