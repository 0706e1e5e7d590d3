"""What a correction costs: decodes, ways back through the decoder, and evaluations of each residual."""

from typing import Any

import pytest
import torch
from torch import Tensor

from physgen.constraints import Equality, ReactionDiffusion
from physgen.grid import Grid
from physgen.guidance import (
    DPS,
    Afterwards,
    AugmentedLagrangian,
    Composition,
    Guidance,
    PiGDM,
    Projection,
    X0Gradient,
)

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
X = torch.rand(1, 1, 5, 8, 8, generator=torch.Generator().manual_seed(0))


class Count(torch.autograd.Function):
    """The identity, which counts how often it is passed each way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, calls: dict[str, int]) -> Tensor:
        ctx.calls = calls
        calls["forward"] += 1
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.calls["backward"] += 1
        return gradient, None


def count(guidance: Guidance) -> dict[str, int]:
    calls = {"forward": 0, "backward": 0}
    x_t = X.clone().requires_grad_(guidance.through_network)
    x0_hat = 0.5 * x_t if guidance.through_network else X
    guidance.correction(x0_hat, x_t=x_t, sigma=0.5, decode=lambda z: Count.apply(z, calls), grid=GRID)
    return calls


def heat() -> ReactionDiffusion:
    return ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")


@pytest.mark.parametrize("algorithm", [X0Gradient, Projection, DPS])
def test_a_fitted_law_is_decoded_once_and_differentiated_once(algorithm: type[Guidance]) -> None:
    options = {"terminal": False} if algorithm is Projection else {}
    assert count(algorithm(heat(), **options)) == {"forward": 1, "backward": 1}


def test_each_further_law_takes_a_way_back_and_each_further_iteration_a_decode() -> None:
    laws = {"heat": heat(), "dark": Equality(lambda x: x.mean() - 0.1 + 0 * x[:, 0, 0, 0, 0])}
    assert count(X0Gradient(laws)) == {"forward": 1, "backward": 2}
    assert count(X0Gradient(heat(), steps=3)) == {"forward": 3, "backward": 3}


@pytest.mark.parametrize("algorithm", [PiGDM, AugmentedLagrangian])
def test_products_with_the_jacobian_start_from_the_one_decode(algorithm: type[Guidance]) -> None:
    options: dict[str, Any] = {"terminal": False} if algorithm is PiGDM else {}
    decodes = {PiGDM: 1, AugmentedLagrangian: 2}[algorithm]  # the Lagrangian looks at where it has come to
    assert count(algorithm(Equality(lambda x: x.mean((1, 2, 3, 4)) - 0.1), **options))["forward"] == decodes


def test_nothing_is_differentiated_where_nothing_is_corrected() -> None:
    assert count(Afterwards(heat(), terminal=False)) == {"forward": 1, "backward": 0}


def test_the_second_of_two_guidances_decodes_what_the_first_made() -> None:
    law = heat()
    assert count(Composition([X0Gradient(law), X0Gradient(law)])) == {"forward": 2, "backward": 2}


def test_a_residual_is_evaluated_once() -> None:
    evaluations = []

    class Counted(Equality):
        def residual(self, fields: Tensor, grid: Grid | None = None) -> Tensor:
            evaluations.append(1)
            return super().residual(fields, grid)

    law = Counted(lambda x: x.mean((1, 2, 3, 4)) - 0.1)
    found = X0Gradient(law).correction(X, x_t=X, sigma=0.5, decode=lambda z: 1.0 * z, grid=GRID)
    assert len(evaluations) == 1
    assert found.residuals == {"equality": pytest.approx(float(X.mean()) - 0.1, rel=1e-5)}
