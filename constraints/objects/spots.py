"""Objects of every frame as places and weights that can be differentiated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

#: standard deviation of the blur, and reach of a local maximum, in radii of an object
BLUR, APART = 0.5, 0.7
#: brightness over which an object comes to count, and over which its place is averaged, as parts of the contrast
EDGE, TOP = 0.05, 0.05
#: weight from which something is looked at at all
FAINTEST = 0.01


@dataclass(frozen=True)
class Objects:
    """Objects of the frames of one video, as many rows in each frame as the fullest has.

    Attributes:
        places: y and x in pixels.
        weights: between 0 and 1, how sure it is that there is one; 0 in rows that are not used.
    """

    places: Float[Tensor, "T N 2"]
    weights: Float[Tensor, "T N"]


#: a length along y and along x, in pixels of each
Lengths = tuple[float, float]


def find_objects(frames: Float[Tensor, "T H W"], radii: Lengths, threshold: float | None, wraps: bool) -> Objects:
    """Local maxima of blurred frames: of discs of about this radius each has one, also where two touch.

    The radius is given in pixels along y and along x, which differ where pixels are no squares.

    weight = sigmoid((peak - threshold) / (0.05 contrast)),  place = mean of x with weights exp(c / (0.05 contrast))

    the mean over the pixels within `APART` radii; contrast between the lowest and the highest value of the blurred
    video, the threshold half way where none is given. Which pixels are maxima is held in the gradient.

    >>> y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    >>> disc = torch.sigmoid((4 - torch.hypot(y - 12, x - 15.3)) / 0.5)[None]
    >>> found = find_objects(disc, (4.0, 4.0), None, wraps=False)
    >>> [round(place, 1) for place in found.places[0, 0].tolist()], round(found.weights[0, 0].item(), 2)
    ([12.0, 15.3], 1.0)
    """
    blurred = gaussian(frames, (BLUR * radii[0], BLUR * radii[1]), wraps)
    apart = (APART * radii[0], APART * radii[1])
    reach = (max(apart[0], 1.0), max(apart[1], 1.0))
    low, high = blurred.amin(), blurred.amax()
    contrast = torch.where(high > low, high - low, 1)
    middle = (low + high) / 2 if threshold is None else threshold
    weights = torch.sigmoid((blurred - middle) / (EDGE * contrast))
    peaks = _are_peaks(blurred.detach(), (max(round(apart[0]), 1), max(round(apart[1]), 1)), wraps)
    peaks = peaks & (weights.detach() > FAINTEST) & bool(high > low)
    most = max(int(peaks.flatten(1).sum(1).max()), 1)
    places, sure = [], []
    for frame, weight, here in zip(blurred, weights, peaks, strict=True):
        at = here.nonzero()
        missing = most - len(at)
        places.append(F.pad(_centres(frame / contrast, at, reach, wraps), (0, 0, 0, missing)))
        sure.append(F.pad(weight[here], (0, missing)))
    return Objects(torch.stack(places), torch.stack(sure))


def gaussian(frames: Float[Tensor, "T H W"], sigmas: Lengths, wraps: bool) -> Float[Tensor, "T H W"]:
    """Frames blurred by a Gaussian, no wider than they are.

    >>> round(gaussian(torch.ones(1, 5, 5), (1.0, 1.0), wraps=False).mean().item(), 6)
    1.0
    """
    found = frames[:, None]
    for axis, sigma in zip((2, 3), sigmas, strict=True):
        reach = min(int(3 * sigma) + 1, frames.shape[axis - 1])
        kernel = torch.exp(-((torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2) / 2)
        kernel = (kernel / kernel.sum()).to(frames).view(1, 1, *((-1, 1) if axis == 2 else (1, -1)))
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        found = F.conv2d(F.pad(found, pad, mode="circular" if wraps else "replicate"), kernel)
    return found[:, 0]


def _are_peaks(blurred: Float[Tensor, "T H W"], reach: tuple[int, int], wraps: bool) -> Bool[Tensor, "T H W"]:
    """Which pixels are the highest within reach, the first of equals."""
    down, right = map(min, reach, blurred.shape[1:]) if wraps else reach
    order = blurred.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    rank = -order.view_as(blurred).double()[:, None]
    pad = (right, right, down, down)
    around = F.pad(rank, pad, mode="circular") if wraps else F.pad(rank, pad, value=-torch.inf)
    return (F.max_pool2d(around, (2 * down + 1, 2 * right + 1), 1) == rank)[:, 0]


def _centres(frame: Float[Tensor, "H W"], at: Tensor, reach: Lengths, wraps: bool) -> Float[Tensor, "N 2"]:
    y, x = (torch.arange(size, dtype=frame.dtype, device=frame.device) for size in frame.shape)
    dy, dx = y - at[:, :1].to(frame), x - at[:, 1:].to(frame)
    if wraps:
        dy, dx = ((d + size / 2) % size - size / 2 for d, size in zip((dy, dx), frame.shape, strict=True))
    near = (dy[:, :, None] * (reach[1] / reach[0])).square() + dx[:, None].square() <= reach[1] ** 2
    peak = frame[at[:, 0], at[:, 1]].detach()
    weight = torch.where(near, torch.exp((frame - peak[:, None, None]).clamp(max=0.2) / TOP), 0)
    total = weight.sum((1, 2))
    moved = torch.stack([(weight.sum(2) * dy).sum(1), (weight.sum(1) * dx).sum(1)], 1) / total[:, None]
    return at.to(frame) + moved
