"""What several samples say together: mean, spread and bands as files, constants with their spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from physgen.drawn import Arm
from physgen.ensemble import Ensemble
from physgen.experiments.pages.numbers import number
from physgen.experiments.pages.strip import strip
from physgen.video import Video, write_tiff

LEVELS = (0.5, 0.9)


def write_ensemble(arm: Arm, like: Video, out: Path, inflation: float) -> dict[str, Any]:
    """Write each sample, and what they say pixel by pixel, as OME-TIFF; what ``metrics.json`` says of them.

    ``like`` has the scale and prompt of the videos; the bands are `Ensemble.wide_band`, within what a video can show.
    Constants are those that each sample was certified with.
    """
    ensemble = Ensemble(arm.video)
    parts = {"mean": ensemble.mean, "spread": ensemble.spread}
    for level in LEVELS:
        low, high = (end.clamp(0, 1) for end in ensemble.wide_band(level, inflation))
        parts |= {f"band{100 * level:.0f}_low": low, f"band{100 * level:.0f}_high": high}
    videos = {name: replace(like, frames=part.transpose(0, 1)) for name, part in parts.items()}
    for name, video in videos.items():
        write_tiff(out / f"{name}.tif", video)
    (out / "samples").mkdir(exist_ok=True)
    for index, sample in enumerate(arm.video):
        write_tiff(out / "samples" / f"{index:02d}.tif", replace(like, frames=sample.transpose(0, 1)))
    shown = {name: videos[name] for name in ("mean", "spread")}
    width = videos["band90_high"].frames - videos["band90_low"].frames
    _draw(out / "ensemble.png", {**shown, "width of the 90 % band": replace(like, frames=width)})
    return {
        "samples": len(arm.video),
        "spread_rms": float(ensemble.spread.square().mean().sqrt()),
        "inflation": inflation,
        "constants": _constants(arm),
    }


def describe_ensemble(found: dict[str, Any]) -> list[str]:
    """The same in words."""
    files = "mean.tif, spread.tif (their standard deviation), band50_*.tif and band90_*.tif"
    inflation, count = found["inflation"], found["samples"]
    widths = f"the mean -+ 0.67 and 1.64 spreads, {inflation * (1 + 1 / count) ** 0.5:.3g} times wider since the mean"
    widths += f" of {count} samples is off as well"
    agree = " and samples agree more than they are right, by a factor that was found in micro"
    notes = [f"{count} samples, each in samples/: {files} ({widths}{agree if inflation != 1 else ''})"]
    for law, constants in found["constants"].items():
        for name, one in constants.items():
            low, high = one["band90"]
            notes.append(f"{law}: {name} {number(one['mean'])}, 90 % of samples in {number(low)} to {number(high)}")
    return notes


def _constants(arm: Arm) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for law, first in arm.log.certificate.items():
        for name in first.fit.values:
            drawn = [float(log.certificate[law].fit.values[name][0]) for log in arm.logs if law in log.certificate]
            if len(drawn) < 2:
                continue
            ensemble = Ensemble(torch.tensor(drawn, dtype=torch.float64).view(-1, 1))
            low, high = ensemble.band(0.9)
            found.setdefault(law, {})[name] = {
                "mean": float(ensemble.mean),
                "sd": float(ensemble.spread),
                "band90": [float(low), float(high)],
                "values": drawn,
            }
    return found


def _draw(path: Path, videos: dict[str, Video]) -> None:
    """Frames of each in a row; those that are differences are stretched to their own largest value."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.45 * len(videos)), dpi=150, layout="constrained")
    for axes, (name, video) in zip(figure.subplots(len(videos)), videos.items(), strict=True):
        largest = 1.0 if name == "mean" else max(float(video.frames.max()), 1e-6)
        axes.imshow(strip(replace(video, frames=video.frames / largest), 1, 128))
        title = name if name == "mean" else f"{name}, white is {number(largest)}"
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_axis_off()
    figure.savefig(path)
