"""Whether a video shows what its prompt asks for: colour, size, speed, direction, orientation, pattern."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch

from physgen.experiments.instruments.clip import Array, Clip
from physgen.experiments.instruments.devices.objects import LIFE, offsets
from physgen.experiments.measure.laws import growth_residual, heat_residual
from physgen.simulators import blood, dye, gray_scott, growth, mitosis
from physgen.worlds.micro.judge import Judge, head_of

DEGREES = {"horizontal": 0.0, "diagonal": 45.0, "vertical": 90.0}
VECTORS = {"right": (0.0, 1.0), "left": (0.0, -1.0), "down": (1.0, 0.0), "up": (-1.0, 0.0)}
#: steps of tracks that a direction is told from, and standard errors that their mean has at least
STEPS, SURE = 10, 3.0


def colour(clip: Clip) -> float:
    """Logarithm of what the asked colour leaves unexplained, relative to the best other colour of the family."""
    assert clip.subject
    module = {"dye": dye, "growth": growth, "gray_scott": gray_scott, "mitosis": mitosis}[clip.subject.family]
    beside = {"gray_scott": [gray_scott.SUBSTRATE], "mitosis": [mitosis.CYTOPLASM]}.get(clip.subject.family, [])
    above = clip.pixels.reshape(3, -1) - module.BACKGROUND[:, None]
    left = {}
    for name, rgb in module.COLOURS.items():
        mixing = np.stack([*beside, rgb], axis=1)
        left[name] = float(np.square(above - mixing @ (np.linalg.pinv(mixing) @ above)).sum())
    asked = left.pop(clip.subject.attributes["colour"])
    return float(np.log((asked + 1e-9) / (min(left.values()) + 1e-9)))


def speed(clip: Clip) -> float:
    """Log of diffusivity, growth rate or cell speed relative to the border of slow and fast, > 0 on the wrong side."""
    assert clip.subject
    asked, family = clip.subject.attributes["speed"], clip.subject.family
    if family == "dye":
        found, ranges = heat_residual(clip.field, clip.grid)["D"], dye.DIFFUSIVITY
    elif family == "growth":
        found, ranges = growth_residual(clip.field, clip.grid)["r"] * clip.grid.dt, growth.RATE
    else:
        steps = np.concatenate(list(_steps(clip)) or [np.zeros((1, 2))])
        found, ranges = float(np.quantile(np.hypot(*steps.T), 0.9)) / clip.grid.dt, blood.SPEED
    slow, fast = ranges.values()
    faster = np.log(max(found, 1e-9) / np.sqrt(slow[1] * fast[0]))
    return float(faster if asked == next(iter(ranges)) else -faster)


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
    """Angle in degrees between the long axis of the gap, or of the last frame's chromatin, and the one asked for."""
    assert clip.subject
    shape = 1.0 - clip.field[0] if clip.subject.family == "growth" else clip.field[-1]
    y, x = np.nonzero(shape > 0.5 * np.quantile(shape, 0.998))
    if len(x) < 3:
        return float("nan")
    _, axes = np.linalg.eigh(np.cov(np.stack([x, -y]).astype(float)))
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
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
    """Minus the margin by which the recogniser prefers the pattern that is asked for."""
    assert clip.subject
    return _margin(clip, head_of("gray_scott", "pattern", "pattern"), clip.subject.attributes["pattern"])


def recognised(clip: Clip) -> float:
    """Minus the smaller margin by which the recogniser prefers the family, and the kind, that are asked for."""
    assert clip.subject
    family, kind = clip.subject.family, clip.subject.kind
    asked = {"family": family, f"{family}.kind": kind}
    return max(_margin(clip, head, value) for head, value in asked.items() if head in recogniser().heads)


@cache
def recogniser() -> Judge:
    """The classifier of simulator videos."""
    return Judge.load()


def _margin(clip: Clip, head: str, asked: str) -> float:
    judge = recogniser()
    with torch.no_grad():
        logits = judge.scores(judge.features(clip.video[None].float()))[head][0]
    index = judge.heads[head].index(asked)
    others = torch.cat([logits[:index], logits[index + 1 :]])
    return float(others.max() - logits[index])
