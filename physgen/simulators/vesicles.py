"""Vesicles filled with dye that come together, and some of them fuse: their number only falls, their content stays.

    A = A_1 + A_2,  content 1 inside and 0 outside,  sum of the content over the frame constant

Two that meet open a neck and round up to one of both areas; in every frame each outline is moved in or out by what
makes its area right to rounding. The membrane becomes shorter, 2 pi sqrt(r_1^2 + r_2^2) < 2 pi (r_1 + r_2). A pair is
one from the frame on in which it touches. No vesicle leaves the frame, none is born.
Giant unilamellar vesicles of some µm: Tanaka & Yamazaki 2004, Langmuir 20:5160.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, Clips, pixel_axes, render, sigmoid
from physgen.simulators.captions import Grammar, Split, draw
from physgen.simulators.fusion import SIDE, Vesicle, draw_vesicles

GRID = Grid(spacing=(0.8, 0.8), dt=0.5, boundary="no-flux")
BACKGROUND = np.array([0.03, 0.04, 0.06])
COLOURS = {
    "green": np.array([0.08, 0.62, 0.18]),
    "red": np.array([0.64, 0.12, 0.12]),
    "blue": np.array([0.12, 0.24, 0.66]),
}
MEMBRANE = np.array([0.28, 0.26, 0.24])
COUNTS = {"two": 2, "three": 3, "four": 4}
OUTCOMES = ("a pair fuses", "all fuse")
#: softness of an edge and thickness of a membrane in pixels, and steps of Newton's method that make an area right
EDGE, THICKNESS, STEPS = 0.8, 1.3, 12

GRAMMARS = {
    "vesicles": Grammar(
        {"count": tuple(COUNTS), "colour": tuple(COLOURS), "outcome": OUTCOMES},
        (
            "{count} vesicles filled with {colour} dye approach each other, {outcome}",
            "membrane fusion, {count} {colour} vesicles, {outcome}",
            "{count} giant vesicles with {colour} content meet and {outcome}",
        ),
    )
}


def filled(distance: Array, area: float) -> tuple[Array, Array]:
    """Content and membrane ``[T, H, W]`` of an outline, a signed distance in pixels, moved so that its area is this.

    >>> y, x = pixel_axes(32)
    >>> content, _ = filled((np.hypot(y - 15.2, x - 16.1) - 5.0)[None], 100.0)
    >>> round(float(content.sum()), 9)
    100.0
    """
    shift = np.zeros((len(distance), 1, 1))
    for _ in range(STEPS):
        content = sigmoid((shift - distance) / EDGE)
        slope = (content * (1.0 - content)).sum((1, 2), keepdims=True) / EDGE
        shift = shift + (area - content.sum((1, 2), keepdims=True)) / slope
    return sigmoid((shift - distance) / EDGE), np.exp(-(((shift - distance) / THICKNESS) ** 2))


def drawn(vesicles: Sequence[Vesicle], times: Array, size: int) -> Array:
    """Content and membrane ``[2, T, H, W]`` at times in parts of a clip."""
    spacing = SIDE / size
    y, x = (spacing * (axis + 0.5) for axis in pixel_axes(size))
    fields = np.zeros((2, len(times), size, size))
    for vesicle in vesicles:
        seen = vesicle.seen(times)
        distance = vesicle.outline(times[seen], y, x) / spacing
        content, membrane = filled(distance, np.pi * (vesicle.radius / spacing) ** 2)
        fields[0, seen] += content
        fields[1, seen] = np.maximum(fields[1, seen], membrane)
    return fields


def simulate(
    batch: int,
    *,
    rng: np.random.Generator,
    frames: int = FRAMES,
    size: int = SIZE,
    attributes: Sequence[Mapping[str, str]] | None = None,
    split: Split = "train",
) -> Clips:
    """Vesicles that fuse; ``fields`` is ``(content, membrane)``, ``places`` end where a larger one takes a vesicle up.

    >>> clips = simulate(1, rng=np.random.default_rng(0))
    >>> content = clips.fields[0, 0].sum((1, 2), dtype=np.float64)
    >>> count = np.isfinite(clips.places[0, :, :, 0]).sum(0)
    >>> bool(np.ptp(content) < 1e-6 * content.mean()), bool((np.diff(count) <= 0).all())
    (True, True)
    """
    chosen = draw(GRAMMARS, (1.0,), batch, split, rng, attributes)
    frame_s = GRID.dt * FRAMES / frames
    times = np.arange(frames) / max(frames - 1, 1)
    fields = np.empty((batch, 2, frames, size, size), np.float32)
    places = np.full((batch, max(COUNTS[a["count"]] for a in chosen), frames, 2), np.nan)
    parameters = []
    for index, attribute in enumerate(chosen):
        count = COUNTS[attribute["count"]]
        vesicles = draw_vesicles(count, 1 if attribute["outcome"] == OUTCOMES[0] else count - 1, rng)
        fields[index] = drawn(vesicles, times, size)
        for vesicle in vesicles:
            seen = vesicle.seen(times)
            places[index, vesicle.row, seen] = vesicle.middle(times[seen])
        fused = {f"fused_{i}_s": v.born * frame_s * (frames - 1) for i, v in enumerate(vesicles[count:], 1)}
        parameters.append({"vesicles": float(count), "fusions": float(len(fused)), **fused})
    colours = np.stack([np.stack([COLOURS[a["colour"]], MEMBRANE]) for a in chosen])
    spacing = SIDE / size
    return Clips(
        video=render(fields, colours, BACKGROUND),
        fields=fields,
        species=("content", "membrane"),
        unit="a.u.",
        captions=[GRAMMARS["vesicles"].caption(a, rng) for a in chosen],
        attributes=chosen,
        parameters=parameters,
        grid=Grid(spacing=(spacing, spacing), dt=frame_s, boundary=GRID.boundary),
        places=places,
    )
