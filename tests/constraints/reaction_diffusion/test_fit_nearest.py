"""Constants of the nearest trajectory: exact on exact video, and not fooled by noise or by where a search begins."""

import numpy as np
import pytest
import torch
from markers import slow_except

from physgen.constraints import ReactionDiffusion
from physgen.constraints.reaction_diffusion.fit_heat import fit_heat
from physgen.dynamics.spectral import laplacian_modes
from physgen.grid import Grid
from physgen.simulators import dye, growth

NAMES = {"dye": ["D"], "growth": ["D", "r"]}


def law(family: str) -> ReactionDiffusion:
    if family == "dye":
        return ReactionDiffusion("diffusion", fitted=["D"], form="flow_map", order=4)
    return ReactionDiffusion("fisher_kpp", parameters={"K": 1.0}, fitted=["D", "r"], form="flow_map", order=4)


@pytest.mark.parametrize("family", slow_except({"dye"}, NAMES))
@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-3), pytest.param(0.05, 0.1, marks=pytest.mark.slow)])
def test_constants_are_found_through_noise(family: str, noise: float, tolerance: float) -> None:
    clips = {"dye": dye, "growth": growth}[family].simulate(3, rng=np.random.default_rng(5))
    generator = torch.Generator().manual_seed(0)
    fields = torch.from_numpy(clips.fields)
    noisy = fields + noise * fields.amax() * torch.randn(fields.shape, generator=generator)
    found, constraint = law(family).fit(noisy, clips.grid), law(family)
    for key, name in zip(constraint.constants.bounds, NAMES[family], strict=True):
        true = np.array([parameters[name] for parameters in clips.parameters])
        np.testing.assert_allclose(found.values[key], true, rtol=tolerance)
    assert found.identifiable == [True] * 3


@pytest.mark.slow
def test_projection_with_fitted_constants_is_no_further_than_with_any_of_a_grid() -> None:
    """Video of diffusion whose frames jitter in brightness, as generated ones do."""
    clips = dye.simulate(1, rng=np.random.default_rng(3))
    jitter = 1 + 0.05 * torch.randn(25, generator=torch.Generator().manual_seed(1)).view(1, 1, -1, 1, 1)
    fields = torch.from_numpy(clips.fields) * jitter

    def distance(constraint: ReactionDiffusion) -> float:
        return float((constraint.project(fields, clips.grid) - fields).norm())

    fitted = distance(law("dye"))
    for diffusivity in np.geomspace(4, 200, 12):
        fixed = ReactionDiffusion("diffusion", {"c": float(diffusivity)}, form="flow_map", order=4)
        assert fitted <= distance(fixed) * (1 + 1e-4)


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, np.inf, 20.0), (25.0, 90.0, 25.0), (1.0, 3.0, 3.0)])
def test_heat_fit_is_the_best_within_bounds(low: float, high: float, expected: float) -> None:
    start = dye.drops(1, 32, np.random.default_rng(0))[None]
    fields = torch.from_numpy(dye.diffuse(start, np.array([20.0]), 0.1 * np.arange(9.0), (2.0, 2.0)))[:, None]
    values, bases = laplacian_modes((32, 32), dye.GRID, 4)
    fit = fit_heat(fields, values, bases, 0.1, low, high)
    assert fit.value[0] == pytest.approx(expected, rel=5e-3)


def test_nothing_grows_where_the_first_frame_shows_nothing() -> None:
    """A gap that fills too fast: what was hidden in it explains that, unless it was empty."""
    grid = growth.GRID
    start = growth.wound("vertical", 64, np.random.default_rng(0))[None]
    slow, fast = (np.array([x / grid.dt]) for x in (0.12, 0.3))
    wide = np.array([0.3 * grid.cell_area / grid.dt])
    fields = torch.from_numpy(growth.fisher_kpp(start, wide, fast, grid, 25, 4))[:, None]
    given = {"u": float(wide[0])}, {"K": 1.0, "r": float(slow[0])}
    hidden, empty = (
        ReactionDiffusion("fisher_kpp", *given, form="flow_map", order=4, absent=absent).project(fields, grid)
        for absent in (None, 0.02)
    )
    gap = fields[0, 0, 0] < 0.02
    assert hidden[0, 0, 0][gap].amax() > 0.02
    assert empty[0, 0, 0][gap].amax() == 0
    assert empty[0, 0, -1][gap].mean() < 0.8 * hidden[0, 0, -1][gap].mean()


def test_laws_that_may_be_negative_are_empty_at_zero() -> None:
    """FitzHugh-Nagumo keeps nothing positive, so the first frame has no lowest value but that of what is absent."""
    law = ReactionDiffusion(
        "fitzhugh_nagumo",
        {"v": 1.0, "w": 0.0},
        {"a": 0.7, "b": 0.8, "I": 0.5, "eps": 0.08},
        form="flow_map",
        absent=0.2,
    )
    fields = torch.rand(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    first = law.project(fields, Grid((1.0, 1.0), dt=0.1))[:, :, 0]
    assert bool((first[fields[:, :, 0] < 0.2] == 0).all())
    assert bool(first.isfinite().all())
