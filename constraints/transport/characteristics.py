"""The nearest video that one steady flow in the plane carries: constant along the paths of its particles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.transport.motion import Motion
from physgen.constraints.transport.reading import Reading, read_nearest, texture_of
from physgen.constraints.transport.solve import fit_increment, fit_motion, slope_power
from physgen.measure.degenerate import noise_level
from physgen.ops.cubic import interpolate

#: corrections that make a velocity of a displacement between frames
CORRECTIONS = 2
#: frame intervals over which the flow is sharpened, one after the other, and Gauss-Newton steps of each
LAGS, STEPS = (2, 4, 8), 3


@dataclass(frozen=True)
class Curved:
    """A video carried along curved paths.

    Attributes:
        fields: ``[S, T, H, W]``, differentiable in the video for given paths.
        velocity: displacement in a frame interval ``[2, H, W]``, in units of h.
        share: part of the fields' power about their mean over time that they explain.
    """

    fields: Float[Tensor, "S T H W"]
    velocity: Float[Tensor, "2 H W"]
    share: float

    def displacement(self, spacing: tuple[float, float]) -> Float[Tensor, "2 H W"]:
        """In a frame interval at the pixels, in units of h."""
        return self.velocity


def nearest_carried(fields: Float[Tensor, "S T H W"], motion: Motion, smoothness: float, wraps: bool) -> Curved:
    """The nearest video of a steady flow that is fitted to all frames.

    (P c)(x, t) = mean of c(X(s), s) over the frames s in which X(s) is in the frame,  dX/ds = v(X),  X(t) = x

    A flow without divergence keeps the volume of space and time, so for given v the mean along each path is the
    orthogonal projection onto what is constant along it; by cubic convolution, second order in space. Paths are traced
    by Runge-Kutta's method of fourth order. Where v is 0 the mean is that over time.

    v is that of neighboring frames (`fit_motion`), made sharper by what is left between frames that are 2, 4 and 8
    apart, each carried half of the way along its paths: an error of v grows with the way, noise does not.

    >>> y, x = torch.meshgrid(*[torch.arange(24.0, dtype=torch.float64) - 11.5] * 2, indexing="ij")
    >>> angles = torch.arange(4) / 10
    >>> turning = [torch.exp(-((y - 5 * a.sin()) ** 2 + (x - 5 * a.cos()) ** 2) / 9) for a in angles]
    >>> motion = Motion(True, "free", 24, 24, (1.0, 1.0))
    >>> found = nearest_carried(torch.stack(turning)[None], motion, 0.1, False)
    >>> round(found.share, 2)
    1.0
    """
    seen, frames = fields.detach(), fields.shape[1]
    d = fit_motion(seen[None], motion, smoothness, steady=True, wraps=wraps, gain=False)[0][0, 0]
    d = d / d.new_tensor(motion.spacing).view(2, 1, 1)
    velocity = d
    for _ in range(CORRECTIONS):
        ends = traced(velocity, 1, wraps, 0.5)
        velocity = velocity + d - (ends[2] - ends[0])
    for lag in [lag for lag in LAGS if lag < frames]:
        velocity = velocity + _sharper(seen, velocity, motion, smoothness, wraps, lag)
    near = along_paths(fields, traced(velocity, frames - 1, wraps), wraps)
    total = (seen - seen.mean(1, keepdim=True)).square().sum()
    share = float(1 - (seen - near.detach()).square().sum() / total) if float(total) > 0 else 0.0
    return Curved(near, velocity * d.new_tensor(motion.spacing).view(2, 1, 1), share)


def _sharper(
    fields: Tensor, velocity: Float[Tensor, "2 H W"], motion: Motion, smoothness: float, wraps: bool, lag: int
) -> Float[Tensor, "2 H W"]:
    """What is to be added to a velocity, by frames ``lag`` apart that it has carried to the middle."""
    ends, count = traced(velocity, 1, wraps, lag / 2), fields.shape[1] - lag
    movie, inside = fields.transpose(0, 1), _inside(ends[0], wraps) * _inside(ends[2], wraps)
    before, after = (
        inside * interpolate(frames, end.expand(count, -1, -1, -1), wraps)[0]
        for frames, end in ((movie[:count], ends[0]), (movie[lag:], ends[2]))
    )
    size = slope_power(fields[None], motion, wraps).sqrt()
    pairs = torch.stack([before, after], 2) / torch.where(size > 0, size, 1)
    return (
        fit_increment(pairs, motion, smoothness, wraps, STEPS) / velocity.new_tensor(motion.spacing).view(2, 1, 1) / lag
    )


def traced(velocity: Float[Tensor, "2 H W"], most: int, wraps: bool, interval: float = 1.0) -> Float[Tensor, "K 2 H W"]:
    """Where the particle at each pixel is ``-most`` to ``most`` intervals later, rows and columns.

    >>> right = torch.zeros(2, 4, 4)
    >>> right[1] = 0.5
    >>> traced(right, 1, False)[:, 1, 0, 2].tolist()
    [1.5, 2.0, 2.5]
    """
    height, width = velocity.shape[1:]
    pixels = torch.stack(
        torch.meshgrid(
            *(torch.arange(n, dtype=velocity.dtype, device=velocity.device) for n in (height, width)), indexing="ij"
        )
    )
    flow = torch.stack([-velocity, velocity]) * interval
    steps = max(math.ceil(float(flow.abs().max())), 1)

    def at(places: Tensor) -> Tensor:
        return interpolate(flow, places, wraps)[0] / steps

    places, found = pixels.expand(2, -1, -1, -1), []
    for _ in range(most):
        for _ in range(steps):
            a = at(places)
            b = at(places + a / 2)
            c = at(places + b / 2)
            places = places + (a + 2 * b + 2 * c + at(places + c)) / 6
        found.append(places)
    back, forth = torch.stack(found).unbind(1)
    return torch.cat([back.flip(0), pixels[None], forth])


def along_paths(
    fields: Float[Tensor, "S T H W"], places: Float[Tensor, "K 2 H W"], wraps: bool
) -> Float[Tensor, "S T H W"]:
    """Mean of a video along the path through every pixel and frame."""
    frames = fields.shape[1]
    total, count = [], []
    movie = fields.transpose(0, 1)
    for lag, place in zip(range(1 - frames, frames), places, strict=True):
        first, stop = max(0, -lag), min(frames, frames - lag)
        inside = _inside(place, wraps)
        seen = interpolate(movie[first + lag : stop + lag], place.expand(stop - first, -1, -1, -1), wraps)[0]
        pad = (0, 0, 0, 0, 0, 0, first, frames - stop)
        total.append(torch.nn.functional.pad(inside * seen, pad))
        count.append(torch.nn.functional.pad(inside.expand(stop - first, 1, -1, -1), pad))
    mean = torch.stack(total).sum(0) / torch.stack(count).sum(0)
    return mean.transpose(0, 1)


def _inside(place: Float[Tensor, "2 H W"], wraps: bool) -> Float[Tensor, "H W"]:
    """1 where a place is in the frame, else 0."""
    last = place.new_tensor(place.shape[1:]).view(2, 1, 1) - 1
    return (((place >= 0) & (place <= last)).all(0) | wraps).to(place)


@torch.no_grad()
def read_curved(flow: Curved, fields: Float[Tensor, "S T H W"], spacing: tuple[float, float]) -> Reading:
    """Numbers of one video and its flow, speed and drift where something moves; ``spacing`` in units of h."""
    weight = texture_of(fields.double(), noise_level(fields).double().square().sum(), spacing).sum(0)
    total, velocity = weight.sum().clamp(min=1e-300), flow.velocity.double()
    drift, speed = (weight * velocity).sum((1, 2)) / total, float((weight * velocity.norm(dim=0)).sum() / total)
    left = (fields - flow.fields).double().square().sum(0).mean()
    error = float((left / (weight.mean() / (fields.shape[1] - 1))).sqrt()) if float(weight.sum()) > 0 else 0.0
    return read_nearest(fields, flow.fields, speed, drift, error, flow.share)
