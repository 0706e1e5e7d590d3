"""Why a video does not carry the speed of a flow."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.fit import ENOUGH
from physgen.constraints.transport.reading import Reading
from physgen.measure.degenerate import degenerate, noise_level
from physgen.places import file_frame, frames_read

#: frames that a motion can be told from a change by
FEWEST = 3
#: values at the ceiling, as a part of those of pixels that change, from which a video is saturated
CLIPPED = 0.05
#: parts of the range of values that change by, and that are the ceiling
CHANGES, CEILING = 0.1, 1e-5
#: change over one frame interval, in units of that over two, from which frames do not resemble each other
UNLIKE = 0.9
#: pixels, and times the usual deviation, by which a jump of the camera moves
JUMP, UNUSUAL = 1.0, 6.0
#: mean velocity over mean speed, below which there is no common direction; part of the way that goes backwards
COMMON, BACKWARDS = 0.2, 0.2


@torch.no_grad()
def why_unmeasured(
    fields: Float[Tensor, "S T H W"], reading: Reading, spacing: tuple[float, float] = (1.0, 1.0)
) -> str | None:
    """Why the speed and the direction read off one video should not be believed; None where they may be.

    ``spacing`` of the pixels is in units of h, the root of their area.

    - fewer than three frames, or nothing that moves by more than noise;
    - values cut off: more than 1/20 of the values of pixels that change are the highest, or the lowest, of all;
    - frames too far apart: from one to the next as much changes as over two, or things move by more than half of their
      spacing (its wave length is 2 pi over the mean wave number);
    - a jump of the camera: one pair's drift deviates by a pixel and six times as much as usual;
    - the flow explains less than half of the change; it has no common direction, at one time or over time.

    Source: sampling theorem, Shannon (1949), Proc. IRE 37:10.
    """
    if fields.shape[1] < FEWEST:
        return f"fewer than {frames_read(FEWEST)}"
    if degenerate(fields[None])[0] or math.isnan(reading.explained):
        return "nothing moves by more than noise"
    if is_saturated(fields):
        return "values are cut off: what moves is saturated"
    if (pair := _jump(reading)) is not None:
        return f"the picture jumps between frames {file_frame(pair)} and {file_frame(pair + 1)}"
    if is_aliased(fields, reading.speed, spacing):
        return "it moves by half of the spacing of its texture or more in a frame interval: aliased"
    if reading.explained < ENOUGH:
        return f"the flow explains {100 * max(reading.explained, 0.0):.1f} % of the motion"
    if float(reading.drift.norm()) < COMMON * reading.speed:
        return "things move in different directions, there is no common one"
    along = reading.of_pairs @ reading.drift
    if float((-along).clamp(min=0).sum()) > BACKWARDS * float(along.abs().sum()):
        return "it moves to and fro: there is no one direction"
    return None


def is_saturated(fields: Float[Tensor, "S T H W"]) -> bool:
    """Whether values of what moves are cut off, on the side of the range that the background is not on.

    >>> x = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> is_saturated(x), is_saturated((x**2).clamp(max=0.7))
    (False, True)
    """
    for values in fields:
        span = float(values.max() - values.min())
        changing = values.amax(0) - values.amin(0) > CHANGES * span
        seen = values[:, changing]
        if span == 0 or not seen.numel():
            continue
        dark = float(values.median() - values.min()) <= span / 2
        cut = seen >= values.max() - CEILING * span if dark else seen <= values.min() + CEILING * span
        if float(cut.double().mean()) > CLIPPED:
            return True
    return False


def is_aliased(fields: Float[Tensor, "S T H W"], speed: float, spacing: tuple[float, float] = (1.0, 1.0)) -> bool:
    """Whether frames are too far apart to tell one thing from the next.

    >>> x = torch.arange(32)
    >>> waves = [torch.stack([torch.sin((x - v * t) * torch.pi / 4).expand(8, 32) for t in range(5)]) for v in (1, 5)]
    >>> [is_aliased(wave[None], 1.0) for wave in waves]
    [False, True]
    """
    noise = 2 * noise_level(fields).double().square().sum()
    once, twice = ((fields[:, k:] - fields[:, :-k]).double().square().sum(0).mean() - noise for k in (1, 2))
    if float(once) >= UNLIKE * float(twice):
        return True
    moving = (fields - fields.mean(1, keepdim=True)).double()
    slopes = torch.gradient(moving, spacing=spacing, dim=(2, 3))
    waves = torch.stack([slope.square().sum() for slope in slopes]).sum() / moving.square().sum()
    return speed > torch.pi / float(waves.sqrt())


def _jump(reading: Reading) -> int | None:
    away = (reading.of_pairs - reading.of_pairs.median(0).values).norm(dim=1)
    largest = int(away.argmax())
    limit = max(JUMP, UNUSUAL * float(away.median()))
    return largest if len(away) > 2 and float(away[largest]) > limit else None
