"""Whether a video shows what its prompt asks for: colour, size, speed, direction, orientation, pattern."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Periodic
from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.forms import fibres_of
from physgen.experiments.instruments.devices.objects import LIFE, offsets
from physgen.experiments.measure.laws import growth_residual, heat_residual
from physgen.simulators import beads, blood, dye, gray_scott, growth, mitosis, sheet, vesicles
from physgen.worlds.micro.judge import head_of, packaged_judge

DEGREES = {"horizontal": 0.0, "diagonal": 45.0, "vertical": 90.0}
#: degrees from an axis to the border of the next one
BETWEEN = 22.5
VECTORS = {"right": (0.0, 1.0), "left": (0.0, -1.0), "down": (1.0, 0.0), "up": (-1.0, 0.0)}
#: steps of tracks that a direction is told from, and standard errors that their mean has at least
STEPS, SURE = 10, 3.0
_COLOURED = {
    **{"dye": dye, "growth": growth, "gray_scott": gray_scott, "mitosis": mitosis},
    **{"beads": beads, "vesicles": vesicles},
}
#: what is there beside the colour that is named
_BESIDE = {
    "gray_scott": [gray_scott.SUBSTRATE],
    "mitosis": [mitosis.CYTOPLASM],
    "vesicles": [vesicles.MEMBRANE],
}
#: of beads, µm²/s, and beats a second, slow ones first
DIFFUSIVITY = {word: (beads.stokes_einstein(b), beads.stokes_einstein(a)) for word, (a, b) in beads.RADII.items()}
BEATS = {word: (1.0 / b, 1.0 / a) for word, (a, b) in sheet.PERIOD.items()}


def colour(clip: Clip) -> float:
    """Logarithm of what the asked colour leaves unexplained, relative to the best other colour of the family."""
    assert clip.subject
    module = _COLOURED[clip.subject.family]
    beside = _BESIDE.get(clip.subject.family, [])
    above = clip.pixels.reshape(3, -1) - module.BACKGROUND[:, None]
    left = {}
    for name, rgb in module.COLOURS.items():
        mixing = np.stack([*beside, rgb], axis=1)
        left[name] = float(np.square(above - mixing @ (np.linalg.pinv(mixing) @ above)).sum())
    asked = left.pop(clip.subject.attributes["colour"])
    return float(np.log((asked + 1e-9) / (min(left.values()) + 1e-9)))


def speed(clip: Clip) -> float:
    """Log of the `pace` relative to the border of slow and fast, > 0 on the wrong side."""
    assert clip.subject
    found, ranges = pace(clip)
    slow, fast = ranges.values()
    faster = np.log(max(found, 1e-9) / np.sqrt(slow[1] * fast[0]))
    return float(faster if clip.subject.attributes["speed"] == next(iter(ranges)) else -faster)


def pace(clip: Clip) -> tuple[float, Mapping[str, tuple[float, float]]]:
    """Diffusivity, growth rate, cell speed or beats a second, and the simulator's ranges of it, slow ones first."""
    assert clip.subject
    family = clip.subject.family
    if family == "dye":
        return heat_residual(clip.field, clip.grid)["D"], dye.DIFFUSIVITY
    if family == "growth":
        return growth_residual(clip.field, clip.grid)["r"] * clip.grid.dt, growth.RATE
    if family == "beads":
        return diffusivity(clip), DIFFUSIVITY
    if family == "sheet":
        return 1.0 / Periodic().fit(_both(clip), clip.grid).values["period"][0], BEATS
    steps = np.concatenate(list(_steps(clip)) or [np.zeros((1, 2))])
    return float(np.quantile(np.hypot(*steps.T), 0.9)) / clip.grid.dt, blood.SPEED


def direction(clip: Clip) -> float:
    """Degrees by which the mean motion of the cells is outside the quarter circle around the direction asked for.

    max(0, angle - 45); captions know four directions, so a cell that wobbles does not move the wrong way. Motion is
    that of tracked peaks, no law's flow. NaN where the tracks do not tell it: fewer than `STEPS` steps, or a mean of
    less than `SURE` of its standard errors, as of steps that know nothing of each other.
    """
    assert clip.subject
    steps = np.concatenate([np.empty((0, 2)), *_steps(clip)])
    if len(steps) < STEPS:
        return float("nan")
    mean = steps.mean(0)
    length = float(np.hypot(*mean))
    if length <= SURE * float(np.sqrt(np.square(steps - mean).sum())) / len(steps):
        return float("nan")
    cosine = float(mean @ VECTORS[clip.subject.attributes["direction"]]) / length
    return max(0.0, float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))) - 45.0)


def lanes(clip: Clip) -> float:
    """Farthest that a cell drifts across the vessel, in pixels; the vessel runs along the axis of most motion."""
    steps = list(_steps(clip))
    if not steps:
        return float("nan")
    across = int(np.argmin(np.abs(np.concatenate(steps)).sum(0)))
    return max(float(np.abs(np.cumsum(s[:, across])).max()) for s in steps)


def steadiness(clip: Clip) -> float:
    """Largest deviation of the mean motion of a frame from the median over frames, relative to that."""
    by_frame: dict[int, list[Array]] = {}
    for track in clip.tracks[0]:
        for t, step in enumerate(_moved(np.array(track.places), clip), track.start):
            by_frame.setdefault(t, []).append(step)
    if len(by_frame) < 2:
        return float("nan")
    motion = np.array([np.mean(steps, axis=0) for steps in by_frame.values()])
    median = np.median(motion, axis=0)
    return float(np.hypot(*(motion - median).T).max() / max(float(np.hypot(*median)), 0.1))


def diffusivity(clip: Clip) -> float:
    """Mean squared step of what is followed over four times the time of a frame, µm²/s; 0 where nothing is.

    Steps of more than `REACH` pixels are lost, so it is too small where things are fast.
    """
    steps = np.concatenate([np.zeros((0, 2)), *_steps(clip)]) * clip.grid.spacing
    return float(np.square(steps).sum(1).mean()) / (4.0 * clip.grid.dt) if len(steps) else 0.0


def _steps(clip: Clip) -> Iterator[Array]:
    for track in clip.tracks[0]:
        if len(track.places) > LIFE:
            yield _moved(np.array(track.places), clip)


def _moved(places: Array, clip: Clip) -> Array:
    """Steps ``[N - 1, 2]`` along places ``[N, 2]``."""
    every = offsets(places[:-1], places[1:], clip.field.shape[1:], periodic=True)
    return np.asarray(every[np.arange(len(places) - 1), np.arange(len(places) - 1)])


def orientation(clip: Clip) -> float:
    """Degrees between the axis asked for and the long one of the gap or the last frame's chromatin, or the fibres."""
    assert clip.subject
    if clip.subject.family == "sheet":
        return off_axis(clip, float(np.degrees(0.5 * np.arctan2(*fibres_of(clip)[::-1]))))
    shape = 1.0 - clip.field[0] if clip.subject.family == "growth" else clip.field[-1]
    y, x = np.nonzero(shape > 0.5 * np.quantile(shape, 0.998))
    if len(x) < 3:
        return float("nan")
    _, axes = np.linalg.eigh(np.cov(np.stack([x, -y]).astype(float)))
    return off_axis(clip, float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))))


def off_axis(clip: Clip, angle: float) -> float:
    """Degrees between an axis and the one asked for."""
    assert clip.subject
    off = abs(angle - DEGREES[clip.subject.attributes["orientation"]]) % 180.0
    return float(min(off, 180.0 - off))


def size(clip: Clip) -> float:
    """Log of the radius of the dark spot relative to the border of small and large, > 0 on the wrong side."""
    assert clip.subject
    first = clip.field[0]
    low, high = np.quantile(first, [0.005, 0.9])
    radius = np.sqrt(max(float((first < 0.5 * (low + high)).sum()), 1.0) / np.pi)
    small, large = dye.RADII.values()
    larger = np.log(radius / np.sqrt(small[1] * large[0]))
    return float(larger if clip.subject.attributes["size"] == "small" else -larger)


def pattern(clip: Clip) -> float:
    """Minus the margin by which the judge prefers the pattern that is asked for."""
    assert clip.subject
    return margin(clip, head_of("gray_scott", "pattern", "pattern"), clip.subject.attributes["pattern"])


def recognised(clip: Clip) -> float:
    """Minus the smaller margin by which the judge prefers the family, and the kind, that are asked for."""
    assert clip.subject
    family, kind = clip.subject.family, clip.subject.kind
    asked = {"family": family, f"{family}.kind": kind}
    return max(margin(clip, head, value) for head, value in asked.items() if head in packaged_judge().heads)


def brownian(clip: Clip) -> float:
    """Largest correlation, of either sign, of a step with the next one and the one after it; NaN without such steps.

    < d_n · d_n+k > / < d_n · d_n >,  k = 1, 2;  0 of a Brownian particle, up to chance
    """
    found = []
    for lag in (1, 2):
        pairs = [(s[:-lag], s[lag:], s) for s in _steps(clip) if len(s) > lag]
        if not pairs:
            return float("nan")
        product = float(np.concatenate([(a * b).sum(1) for a, b, _ in pairs]).mean())
        square = float(np.concatenate([(s**2).sum(1) for _, _, s in pairs]).mean())
        found.append(abs(product) / max(square, 1e-12))
    return max(found)


def _both(clip: Clip) -> torch.Tensor:
    """``[1, S, T, H, W]`` of all that the observable reads."""
    return torch.from_numpy(clip.fields).float()[None]


def margin(clip: Clip, head: str, asked: str) -> float:
    """Score of the best other value of a head of the judge, minus that of the one asked for."""
    logits, index = _logits(clip, head), packaged_judge().heads[head].index(asked)
    others = torch.cat([logits[:index], logits[index + 1 :]])
    return float(others.max() - logits[index])


def preferred(clip: Clip, head: str) -> str:
    """The value of a head that the judge scores highest."""
    return packaged_judge().heads[head][int(_logits(clip, head).argmax())]


def _logits(clip: Clip, head: str) -> Float[Tensor, "K"]:
    judge = packaged_judge()
    with torch.no_grad():
        return judge.scores(judge.features(clip.video[None].float()))[head][0]
