"""Simulator videos satisfy their own equation, planted violations do not, and its constants are found in them.

Dye and growth in frames of 64 x 64 cells; Gray-Scott in small ones, and in those of 64 x 64 where marked slow.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.stats import rankdata
from torch import Tensor

from physgen.constraints.reaction_diffusion.constraint import ReactionDiffusion
from physgen.dynamics.flow_map import FlowMap
from physgen.equations.reaction_system import ReactionSystem
from physgen.experiments.cli.target import build
from physgen.grid import Grid
from physgen.simulators import Clips, dye, gray_scott, growth

VIDEOS = 32
#: enough for Gray-Scott's 100 s between frames: see test_chosen_substeps_meet_the_tolerance
SUBSTEPS = 48
VIOLATIONS = ("leak", "wrong D", "wrong sign", "reversed")
FAMILIES: dict[str, Callable[..., Clips]] = {
    "dye": dye.simulate,
    "growth": growth.simulate,
    "gray_scott": gray_scott.simulate,
}
#: part of the motion that the equation leaves unexplained in the simulator's own videos, root mean square, at most
UNEXPLAINED = {"dye": 0.01, "growth": 0.003, "gray_scott": 0.01}
SMALL = {"gray_scott": {"size": 32, "frames": 3}}

full = pytest.param({"gray_scott": {}}, id="64", marks=pytest.mark.slow)
sizes = pytest.mark.parametrize("size", [pytest.param(SMALL, id="small"), full])
noises = pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 0.02), pytest.param(0.05, 0.1, marks=pytest.mark.slow)])
every_family = pytest.mark.parametrize("family", FAMILIES)


def equation(family: str, clips: Clips, form: str = "flow_map") -> ReactionDiffusion:
    """The simulator's equation, with the constants of each video; Gray-Scott's Laplacian has five points."""

    def of_each(name: str) -> Tensor:
        return torch.tensor([parameters[name] for parameters in clips.parameters], dtype=torch.float64)

    if family == "dye":
        return ReactionDiffusion("diffusion", {"c": of_each("D")}, form=form, order=4)
    if family == "growth":
        return ReactionDiffusion("fisher_kpp", {"u": of_each("D")}, {"r": of_each("r"), "K": 1.0}, form=form, order=4)
    parameters: dict = {name: of_each(name) for name in ("F", "k")}
    return ReactionDiffusion(
        "gray_scott", {"u": of_each("Du"), "v": of_each("Dv")}, parameters, form=form, substeps=SUBSTEPS
    )


def with_other_diffusivity(family: str, clips: Clips) -> np.ndarray:
    """The videos that start alike, but spread 1.5 times as fast."""
    start, frames = clips.fields[:, :, 0].astype(np.float64), clips.fields.shape[2]
    d = 1.5 * np.array([parameters.get("D", 0.0) for parameters in clips.parameters])
    if family == "dye":
        dy, dx = clips.grid.spacing
        return dye.diffuse(start[:, 0], d, clips.grid.dt * np.arange(frames, dtype=np.float64), (dy, dx))[:, None]
    if family == "growth":
        rate = np.array([parameters["r"] for parameters in clips.parameters])
        return growth.fisher_kpp(start[:, 0], d, rate, clips.grid, frames, growth.SUBSTEPS)[:, None]
    return of_gray_scott(clips, 1.5, "u*v**2")


def with_other_sign(family: str, clips: Clips) -> np.ndarray:
    """The videos that start alike, but die out where they should grow."""
    if family == "growth":
        start, frames = clips.fields[:, 0, 0].astype(np.float64), clips.fields.shape[2]
        d, rate = (np.array([parameters[name] for parameters in clips.parameters]) for name in ("D", "r"))
        return growth.fisher_kpp(start, d, -rate, clips.grid, frames, growth.SUBSTEPS)[:, None]
    return of_gray_scott(clips, 1.0, "-u*v**2")


def of_gray_scott(clips: Clips, faster: float, growth: str) -> np.ndarray:
    system = ReactionSystem(["u", "v"], ["F", "k"], {"u": "-u*v**2 + F*(1 - u)", "v": f"{growth} - (F + k)*v"})
    start, videos = torch.from_numpy(clips.fields[:, :, :1]), np.empty_like(clips.fields)
    values = [tuple(parameters.items()) for parameters in clips.parameters]
    for pattern in set(values):
        alike, of = [value == pattern for value in values], dict(pattern)
        diffusivity = {"u": faster * of["Du"], "v": faster * of["Dv"]}
        flow = FlowMap(system, diffusivity, {"F": of["F"], "k": of["k"]}, clips.grid)
        frames = [start[alike]]
        for _ in range(clips.fields.shape[2] - 1):
            frames.append(flow(frames[-1], SUBSTEPS))
        videos[alike] = torch.cat(frames, 2).numpy()
    return videos


def violated(kind: str, family: str, clips: Clips) -> np.ndarray:
    frames = clips.fields.shape[2]
    if kind == "leak":
        return clips.fields * np.linspace(1.0, 0.9, frames).reshape(1, 1, -1, 1, 1)
    if kind == "reversed":
        return np.ascontiguousarray(clips.fields[:, :, ::-1])
    return (with_other_diffusivity if kind == "wrong D" else with_other_sign)(family, clips)


def unexplained(constraint: ReactionDiffusion, fields: np.ndarray, grid: Grid) -> np.ndarray:
    """Root mean square of the residual of each video."""
    residual = constraint.residual(torch.as_tensor(fields, dtype=torch.float64), grid)
    return residual.square().flatten(1).mean(1).sqrt().numpy()


@cache
def truth(family: str, size: int | None, frames: int | None) -> tuple[Clips, np.ndarray]:
    given = {name: value for name, value in (("size", size), ("frames", frames)) if value}
    clips = FAMILIES[family](VIDEOS, rng=np.random.default_rng(5), **given)
    return clips, unexplained(equation(family, clips), clips.fields, clips.grid)


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive is above a negative: Mann and Whitney (1947)."""
    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


@every_family
@sizes
def test_simulator_videos_satisfy_their_own_equation(family: str, size: dict) -> None:
    _, part = truth(family, *(size.get(family, {}).get(name) for name in ("size", "frames")))
    assert part.max() < UNEXPLAINED[family], part.max()


@every_family
@pytest.mark.parametrize("kind", VIOLATIONS)
@sizes
def test_planted_violations_are_told_from_truth(family: str, kind: str, size: dict) -> None:
    if (family, kind) == ("dye", "wrong sign"):
        pytest.skip("dye does not react")
    clips, part = truth(family, *(size.get(family, {}).get(name) for name in ("size", "frames")))
    planted = unexplained(equation(family, clips), violated(kind, family, clips), clips.grid)
    assert auroc(planted, part) >= 0.99, (np.median(planted), planted.min(), part.max())


@pytest.mark.parametrize(
    ("family", "shipped"), [("dye", "diffusion"), pytest.param("growth", "fisher_kpp", marks=pytest.mark.slow)]
)
def test_shipped_configurations_tell_leaks_and_time_reversal(family: str, shipped: str) -> None:
    """With constants fitted to each video."""
    spec: Any = OmegaConf.to_container(OmegaConf.load(str(files("physgen.conf") / "constraint" / f"{shipped}.yaml")))
    constraint = build(ReactionDiffusion, spec)
    clips = FAMILIES[family](16, rng=np.random.default_rng(5))
    part = unexplained(constraint, clips.fields, clips.grid)
    for kind in ("leak", "reversed"):
        planted = unexplained(constraint, violated(kind, family, clips), clips.grid)
        assert auroc(planted, part) >= 0.99, (kind, np.median(planted), planted.min(), part.max())


def recovered(constraint: ReactionDiffusion, clips: Clips, names: dict[str, str], noise: float) -> np.ndarray:
    """Relative errors of the estimates ``[parameter, video]``; noise is a part of the range of each species."""
    fields = torch.as_tensor(clips.fields, dtype=torch.float64)
    span = fields.amax((2, 3, 4), keepdim=True) - fields.amin((2, 3, 4), keepdim=True)
    generator = torch.Generator().manual_seed(0)
    noisy = fields + noise * span * torch.randn(fields.shape, generator=generator, dtype=torch.float64)
    report = constraint.fit(noisy, clips.grid)
    assert np.all(report.identifiable)
    found = np.array([report.values[name] for name in names])
    return np.abs(found / np.array([[p[name] for p in clips.parameters] for name in names.values()]) - 1)


@noises
def test_diffusivity_of_dye(noise: float, tolerance: float) -> None:
    clips = dye.simulate(8, rng=np.random.default_rng(1))
    heat = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map", order=4)
    assert recovered(heat, clips, {"D_c": "D"}, noise).max() < tolerance


@noises
def test_diffusivity_and_rate_of_growth(noise: float, tolerance: float) -> None:
    clips = growth.simulate(8, rng=np.random.default_rng(1))
    logistic = ReactionDiffusion("fisher_kpp", parameters={"K": 1.0}, fitted=["D", "r"], order=4)
    assert recovered(logistic, clips, {"D_u": "D", "r": "r"}, noise).max() < tolerance


@noises
@pytest.mark.parametrize("size", [32, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_all_constants_of_gray_scott(size: int, noise: float, tolerance: float) -> None:
    batch, frames = (1, 13) if size == 32 else (4, 25)
    clips = gray_scott.simulate(batch, frames=frames, size=size, rng=np.random.default_rng(1))
    names = {"D_u": "Du", "D_v": "Dv", "F": "F", "k": "k"}
    constraint = ReactionDiffusion("gray_scott", fitted=list(names), form="flow_map", substeps=SUBSTEPS // 2)
    assert recovered(constraint, clips, names, noise).max() < tolerance
