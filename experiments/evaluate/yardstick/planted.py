"""Errors that are planted in simulator videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.evaluate.yardstick.readings import BACKGROUNDS
from physgen.experiments.train.displaced import displaced
from physgen.simulators import GRAMMARS, SIMULATORS, beads, blood, dye, growth, sheet

#: planted error -> share of the videos that have it
NOTHING = "nothing"
ERRORS = {
    NOTHING: 0.0,
    "wrong count in 25 %": 0.25,
    "wrong direction in 25 %": 0.25,
    "empty in 5 %": 0.05,
    "jitter of 0.25 px": 1.0,
    "constant x1.5": 1.0,
    "blur of 0.7 px": 1.0,
}
COUNT, DIRECTION, EMPTY, JITTERED, CONSTANT, BLURRED = list(ERRORS)[1:]
SHIFT, FACTOR, SMOOTHING, NOISE = 0.25, 1.5, 0.7, 0.002
#: constant that is planted wrong, by family: its ranges in the simulator
CONSTANTS: dict[str, MutableMapping[str, tuple[float, float]]] = {
    "dye": dye.DIFFUSIVITY,
    "growth": growth.RATE,
    "blood": blood.SPEED,
    "vessel": blood.SPEED,
    "beads": beads.RADII,
    "sheet": sheet.PERIOD,
}

Video = Float[Tensor, "3 T H W"]


def simulated(prompt: Prompt, attributes: Mapping[str, str], seed: int) -> Video:
    """A simulator video of some attributes, drawn with the random numbers of a prompt."""
    rng = np.random.default_rng([seed, prompt.seed])
    return torch.from_numpy(SIMULATORS[prompt.family](1, rng=rng, attributes=[attributes], split="all").video[0])


def variants(prompt: Prompt, seed: int) -> dict[str, Video]:
    """The video of a prompt, and the same with each error that its family can have.

    Wrong counts, directions and constants are drawn again by the simulator with the same random numbers.
    """
    rng = np.random.default_rng([seed, prompt.seed, 1])
    truth = simulated(prompt, prompt.attributes, seed)
    found = {NOTHING: truth}
    for error, name in ((COUNT, "count"), (DIRECTION, "direction")):
        if name in prompt.attributes:
            values = GRAMMARS[prompt.family][prompt.attributes["kind"]].values[name]
            wrong = str(rng.choice([value for value in values if value != prompt.attributes[name]]))
            found[error] = simulated(prompt, {**prompt.attributes, name: wrong}, seed)
    if prompt.family in CONSTANTS:
        with multiplied(CONSTANTS[prompt.family], FACTOR):
            found[CONSTANT] = simulated(prompt, prompt.attributes, seed)
    found[EMPTY] = empty(truth, prompt.family, rng)
    found[JITTERED] = jittered(truth, rng)
    found[BLURRED] = torch.from_numpy(gaussian_filter(truth.numpy(), (0, 0, SMOOTHING, SMOOTHING)))
    return found


@contextmanager
def multiplied(ranges: MutableMapping[str, tuple[float, float]], factor: float) -> Iterator[None]:
    """A simulator's ranges of a constant, multiplied inside the block.

    >>> ranges = {"slowly": (1.0, 2.0)}
    >>> with multiplied(ranges, 1.5):
    ...     print(ranges)
    {'slowly': (1.5, 3.0)}
    >>> ranges
    {'slowly': (1.0, 2.0)}
    """
    before = dict(ranges)
    ranges.update({name: (low * factor, high * factor) for name, (low, high) in before.items()})
    try:
        yield
    finally:
        ranges.update(before)


def empty(video: Video, family: str, rng: np.random.Generator) -> Video:
    """The background of the family, with noise of 0.002 of the full range."""
    noise = NOISE * rng.standard_normal(video.shape)
    return torch.from_numpy((BACKGROUNDS[family][:, None, None, None] + noise).clip(0, 1).astype(np.float32))


def jittered(video: Video, rng: np.random.Generator) -> Video:
    """Every frame is displaced along y and x by normal numbers of sd 0.25 pixels, by cubic splines."""
    moves = torch.from_numpy(rng.normal(0.0, SHIFT, (video.shape[1], 2)))
    return displaced(video, moves).clamp(0, 1)
