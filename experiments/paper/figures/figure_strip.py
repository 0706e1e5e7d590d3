"""Frames of unguided and guided videos from the same noise, with what is wrong in each marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Rectangle

from physgen.audit import MICROSCOPY_NOISE
from physgen.constraints.mitosis.classifier import PHASES
from physgen.errors import InvalidArgument
from physgen.experiments.paper.results.numbers import Made, Number
from physgen.experiments.paper.results.shown import FRAMES, shown
from physgen.experiments.paper.results.store import Store
from physgen.experiments.paper.spec import FigureSpec
from physgen.experiments.plot.style import ARMS, VERMILION, sized


def make(spec: FigureSpec, store: Store) -> Made:
    """A row a run; framed where the mass is off by more than a real movie's noise, or a phase breaks the order."""
    frames, readings = store.frames(), {(row["run"], row["frame"]): row for row in store.rows("readings")}
    rows = [(one.law, guidance, run) for one in shown(spec, store) for guidance, run in one.runs.items()]
    picture = sized(0.98 * len(rows) + 0.1)
    axes = picture.subplots(len(rows), len(FRAMES), squeeze=False)
    marked: dict[str, Number] = {}
    for line, (law, guidance, run) in zip(axes, rows, strict=True):
        if run not in frames:
            raise InvalidArgument("run", run, "a run in frames.npz: export again")
        marks = [mark(law, readings[run, frame]) for frame in FRAMES]
        for panel, image, (label, wrong) in zip(line, frames[run], marks, strict=True):
            draw(panel, image, label, wrong)
        line[0].set_ylabel(ARMS[guidance].name.replace(" ", "\n", 1))
        count = sum(mark(law, row)[1] for (name, _), row in readings.items() if name == run)
        marked[f"{law}.{guidance}.marked"] = Number(count, (run,))
    numbers = {"tolerance": Number(100 * MICROSCOPY_NOISE, ("physgen.audit.MICROSCOPY_NOISE",))}
    numbers["n"] = Number(spec.seeds, (spec.sweep,), spec.seeds)
    numbers |= {f"{one.law}.seed": Number(one.seed, tuple(one.runs.values())) for one in shown(spec, store)}
    return Made(numbers=numbers | marked, picture=picture)


def mark(law: str, row: dict[str, Any]) -> tuple[str, bool]:
    """What is written below a frame, and whether the frame violates the law."""
    if law == "mass":
        drift = row["mass_drift"]
        return f"{100 * drift:+.0f} %".replace("-", "−").replace("+0 %", "0 %").replace("−0 %", "0 %"), abs(
            drift
        ) > MICROSCOPY_NOISE
    return PHASES[row["phase"]], bool(row["illegal"])


def draw(panel: Any, image: npt.NDArray[np.uint8], label: str, wrong: bool) -> None:
    """One frame with its reading."""
    panel.imshow(image, interpolation="nearest")
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    panel.set_xlabel(f"✗ {label}" if wrong else label, fontsize=6.5, labelpad=2, color=VERMILION if wrong else "black")
    if wrong:
        height, width = image.shape[:2]
        panel.add_patch(
            Rectangle(
                (0, 0), width - 1, height - 1, fill=False, edgecolor=VERMILION, linewidth=2.2, linestyle=(0, (3, 1))
            )
        )
