"""What is seen of a video: five ways to see too little of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints import Observed

#: standard deviation of the noise of a camera, in units of the fields
NOISE = 0.05
#: photons that a pixel of concentration 1 gives in a frame, and the concentration that a dark one seems to have
PHOTONS, DARK = 4.0, 0.1
#: width of the window that the noise of low light is estimated in, pixels and frames
WINDOW = 5
#: edge of a probe, pixels
PROBE = 8


@dataclass(frozen=True)
class Observation:
    """What was seen, and what is asked.

    Attributes:
        seen: the observation as a constraint.
        asked: where errors are counted ``[S, T, H, W]``: what was not seen, or everything where all of it is noisy.
    """

    seen: Observed
    asked: Bool[Tensor, "S T H W"]


Observe = Callable[[Tensor, torch.Generator], Observation]


def left_half(truth: Float[Tensor, "1 S T H W"], generator: torch.Generator) -> Observation:
    """The left half of every frame, with noise of 0.05."""
    mask = torch.zeros_like(truth[0], dtype=torch.bool)
    mask[..., : truth.shape[-1] // 2] = True
    return _noisy(truth, mask, generator)


def few_pixels(truth: Float[Tensor, "1 S T H W"], generator: torch.Generator) -> Observation:
    """A twentieth of the pixels of the first, middle and last frame, without noise."""
    frames = truth.shape[2]
    mask = torch.zeros_like(truth[0], dtype=torch.bool)
    for frame in (0, frames // 2, frames - 1):
        mask[:, frame] = torch.rand(truth.shape[-2:], generator=generator) < 0.05
    return Observation(Observed(truth[0], mask), ~mask)


def first_frame(truth: Float[Tensor, "1 S T H W"], generator: torch.Generator) -> Observation:
    """The first frame, and two probes of 8 x 8 pixels later on, one in the middle and one in the last frame.

    All with noise of 0.05; each probe is where most happens in its half of the field of view.
    """
    mask = torch.zeros_like(truth[0], dtype=torch.bool)
    mask[:, 0] = True
    change = F.avg_pool2d((truth[0] - truth[0, :, :1]).abs().sum(0), PROBE)
    half = change.shape[-1] // 2
    for frame, part in ((truth.shape[2] // 2, 0), (truth.shape[2] - 1, half)):
        where = int(change[frame, :, part : part + half].flatten().argmax())
        row, column = PROBE * (where // half), PROBE * (part + where % half)
        mask[:, frame, row : row + PROBE, column : column + PROBE] = True
    return _noisy(truth, mask, generator)


def low_light(truth: Float[Tensor, "1 S T H W"], generator: torch.Generator) -> Observation:
    """Every pixel of every frame with 4 photons at concentration 1, on a dark count of 0.4; asked is all of it.

    The noise that is told is estimated from the counts themselves: sqrt(mean / 4) in windows of 5 x 5 x 5.
    """
    counts = torch.poisson(PHOTONS * (truth.clamp(min=0) + DARK), generator=generator) / PHOTONS
    mean = F.avg_pool3d(counts, WINDOW, 1, WINDOW // 2, count_include_pad=False)
    mask = torch.ones_like(truth[0], dtype=torch.bool)
    return Observation(Observed(counts[0] - DARK, mask, (mean[0].clamp(min=DARK) / PHOTONS).sqrt()), mask)


def forecast(truth: Float[Tensor, "1 S T H W"], generator: torch.Generator) -> Observation:
    """The first third of the frames, with noise of 0.05; asked are the others."""
    mask = torch.zeros_like(truth[0], dtype=torch.bool)
    mask[:, : truth.shape[2] // 3 + 1] = True
    return _noisy(truth, mask, generator)


def _noisy(truth: Tensor, mask: Tensor, generator: torch.Generator) -> Observation:
    values = truth[0] + NOISE * torch.randn(truth.shape[1:], generator=generator)
    return Observation(Observed(values, mask, NOISE), ~mask)


#: by the names of the tables
OBSERVATIONS: dict[str, Observe] = {
    "half": left_half,
    "pixels": few_pixels,
    "start": first_frame,
    "light": low_light,
    "forecast": forecast,
}
