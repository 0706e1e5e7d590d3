"""Frames that a law cannot explain are refused before sampling; noise, and what no law keeps, are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from tiny_world import SIZES

from physgen.constraints import Constraint, MassConservation, Observed, PhaseOrder, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.experiments.cli.dispatch import main
from physgen.experiments.draw.contradicted import keeps_amounts, require_possible
from physgen.grid import Grid

GRID = Grid(spacing=(1.0, 1.0), dt=1.0, boundary="no-flux")
NOISE = 0.05


def seen(change: float, seed: int, noise: float = NOISE) -> Observed:
    """Frames 0 and 3 of five, the second with so much more, both with noise."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.full((1, 5, 32, 32), torch.nan)
    for frame, level in ((0, 0.3), (3, 0.3 * (1 + change))):
        values[0, frame] = level + NOISE * torch.randn(32, 32, generator=generator)
    return Observed(values, noise=noise)


def test_noise_alone_is_never_refused_and_ten_percent_always() -> None:
    for seed in range(200):
        require_possible(seen(0.0, seed), {"mass": MassConservation()}, GRID)
    for seed in range(20):
        with pytest.raises(InvalidArgument, match=r"frames 0 and 3 that differ by \+.*standard deviations.*`mass`"):
            require_possible(seen(0.1, seed), {"mass": MassConservation()}, GRID)


def test_only_where_the_law_keeps_amounts() -> None:
    diffusion, growth = (
        ReactionDiffusion("diffusion", fitted=["D"]),
        ReactionDiffusion("fisher_kpp", fitted=["D", "r", "K"]),
    )
    kept: dict[str, Constraint] = {"mass": MassConservation(), "diffusion": diffusion}
    free: list[Constraint] = [
        growth,
        MassConservation(inflow=1.0),
        MassConservation(bleaching="exponential"),
        PhaseOrder(),
    ]
    assert all(keeps_amounts(law) for law in kept.values())
    assert not any(keeps_amounts(law) for law in free)
    require_possible(seen(0.1, 0), {str(i): law for i, law in enumerate(free)}, GRID)
    require_possible(seen(0.1, 0), kept, Grid(spacing=(1.0, 1.0), dt=1.0, boundary="open"))
    with pytest.raises(InvalidArgument, match="`diffusion`"):
        require_possible(seen(0.1, 0), {"diffusion": diffusion}, GRID)


def test_a_frame_that_was_not_seen_whole_says_nothing() -> None:
    values = seen(0.1, 0).values[0].clone()
    values[0, 3, 0, 0] = torch.nan
    require_possible(Observed(values, noise=NOISE), {"mass": MassConservation()}, GRID)


def test_sample_refuses_before_it_writes(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = np.stack([np.full((32, 32), 60, np.uint8), np.full((32, 32), 120, np.uint8)])
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack")
    asked = ["sample", f"world.path={tiny}", *SIZES, "prompt=one drop of green dye diffusing slowly in water"]
    observed = [f"observed={tmp_path / 'movie.tif'}", "observed.frames=[0,4]", "observed.noise=0.05"]
    assert main([*asked, *observed, "constraint=mass", f"out={tmp_path / 'run'}"]) == 2
    assert "standard deviations" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
