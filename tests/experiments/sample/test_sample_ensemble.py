"""Several samples of what was observed: files, constants, and a law that what was seen contradicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from tiny_world import SIZES

from physgen.ensemble import INFLATION, Ensemble
from physgen.experiments.cli.dispatch import main
from physgen.video import read_video

PROMPT = "one drop of green dye diffusing slowly in water"


def movie(path: Path, widths: list[float]) -> Path:
    """A drop of so many pixels in each frame, with noise of 0.02."""
    y, x = np.mgrid[:32, :32] - 16.0
    frames = np.stack([0.8 * (min(widths) / width) ** 2 * np.exp(-(x**2 + y**2) / 2 / width**2) for width in widths])
    noisy = frames + np.random.default_rng(0).normal(0, 0.02, frames.shape)
    tifffile.imwrite(path, noisy.clip(0, 1).astype(np.float32), photometric="minisblack")
    return path


def run(tiny: Path, *arguments: str) -> int:
    return main(["sample", f"world.path={tiny}", *SIZES, f"prompt={PROMPT}", "steps=2", *arguments])


def test_mean_spread_bands_and_constants(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    seen = movie(tmp_path / "drop.tif", [4.0, 5.0, 5.8])
    options = [f"observed={seen}", "observed.frames=[0,4,8]", "observed.noise=0.02", "constraint=diffusion"]
    assert run(tiny, *options, "samples=3", f"out={out}") == 0
    samples = torch.stack([read_video(path).frames for path in sorted((out / "samples").iterdir())])
    assert len(samples) == 3
    ensemble = Ensemble(samples)
    torch.testing.assert_close(read_video(out / "mean.tif").frames, ensemble.mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(read_video(out / "spread.tif").frames, ensemble.spread, atol=1e-6, rtol=0)
    low, high = (read_video(out / f"band90_{end}.tif").frames for end in ("low", "high"))
    inside = (samples >= low - 1e-6) & (samples <= high + 1e-6)
    assert float(inside.double().mean()) > 0.9
    metrics = json.loads((out / "metrics.json").read_text())
    constants = metrics["ensemble"]["constants"]["diffusion"]["D_c"]
    assert len(constants["values"]) == metrics["ensemble"]["samples"] == 3
    assert constants["band90"][0] <= constants["mean"] <= constants["band90"][1]
    assert metrics["constraints"]["diffusion"]["satisfied"]
    assert any(note.startswith("guidance_scale 1") for note in metrics["notes"])
    assert (out / "ensemble.png").stat().st_size > 1000


def test_bands_are_wider_than_the_spread_only_where_samples_keep_to_an_observation(tiny: Path, tmp_path: Path) -> None:
    assert run(tiny, "samples=2", f"out={tmp_path / 'free'}") == 0
    assert json.loads((tmp_path / "free" / "metrics.json").read_text())["ensemble"]["inflation"] == 1
    seen = movie(tmp_path / "drop.tif", [4.0])
    assert run(tiny, f"observed={seen}", "samples=2", f"out={tmp_path / 'kept'}") == 0
    metrics = json.loads((tmp_path / "kept" / "metrics.json").read_text())
    assert metrics["ensemble"]["inflation"] == INFLATION
    assert any(f"{INFLATION * 1.5**0.5:.3g} times wider" in note for note in metrics["notes"])


def test_a_law_that_what_was_seen_contradicts(tiny: Path, tmp_path: Path) -> None:
    """A drop that shrinks does not diffuse; one that widens does."""
    found = {}
    for name, widths in {"shrinks": [5.8, 5.0, 4.0], "widens": [4.0, 5.0, 5.8]}.items():
        seen, out = movie(tmp_path / f"{name}.tif", widths), tmp_path / name
        options = [f"observed={seen}", "observed.frames=[0,4,8]", "observed.noise=0.02", "constraint=diffusion"]
        assert run(tiny, *options, f"out={out}") == 0
        notes = json.loads((out / "metrics.json").read_text())["notes"]
        found[name] = [note for note in notes if "contradicts diffusion" in note]
    assert "standard deviations of the noise away" in found["shrinks"][0]
    assert not found["widens"]


def test_bad_input(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "samples=0", f"out={tmp_path / 'out'}") == 2
    assert "samples=0: allowed:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
