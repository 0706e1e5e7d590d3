"""What is read off a finished video, frame by frame, and the frames that are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.constraints import PhaseOrder
from physgen.constraints.mitosis.classifier import PHASES
from physgen.experiments.paper.results.shown import FRAMES
from physgen.video import read_video
from physgen.worlds import world_spec


def frames_of(run: Path) -> npt.NDArray[np.uint8]:
    """The frames of a strip, ``[N, H, W, 3]``."""
    pixels = read_video(run / "video.tif").frames[list(FRAMES)].permute(0, 2, 3, 1).numpy()
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def readings(run: Path) -> list[dict[str, Any]]:
    """A row a frame: relative drift of mass, and for mitosis each phase's probability, the phase named, legality.

    ``mass_drift = m(t) / m(0) - 1``, of all species; ``illegal`` is whether the step to this frame breaks the order.
    """
    video = read_video(run / "video.tif")
    about = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    spec, prompt = world_spec("micro"), about["prompt"]
    fields = spec.observable(prompt)(video.frames.transpose(0, 1)[None].double())
    grid = spec.grid(prompt)
    mass = fields.sum((1, 3, 4))[0]
    rows = [
        {"run": run.name, "frame": t, "time_s": t * grid.dt, "mass_drift": float(m / mass[0] - 1)}
        for t, m in enumerate(mass)
    ]
    law = PhaseOrder()
    phases = law.violations(fields, grid)[0] if about["family"] == "mitosis" else None
    single = law.log_probability(fields, grid)[0].exp().tolist() if phases else [[None] * len(PHASES)] * len(rows)
    broken = {frame for frame, _, _ in phases.illegal} if phases else set()
    return [
        row
        | {"phase": phases.named[t] if phases else None, "illegal": t in broken}
        | {f"p_{phase}": p for phase, p in zip(PHASES, single[t], strict=True)}
        for t, row in enumerate(rows)
    ]
