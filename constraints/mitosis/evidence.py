"""What one frame shows of mitosis: smooth numbers that do not change when the picture is moved, turned or scaled."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.grid import Grid

#: of the chromatin, then of the cell
FEATURES = (
    "area",
    "brightness",
    "compactness",
    "elongation",
    "haze",
    "granularity",
    "fine_granularity",
    "components",
    "gap",
    "sister_distance",
    "bimodality",
    "bimodality_across",
    "cell_elongation",
    "furrow",
    "chromatin_share",
)
#: the first so many are relative to the other frames; the last so many are 0 where no cell is given
RELATIVE_FEATURES, CELL_FEATURES = 2, 3
#: relative brightness from which a pixel begins to be, and is, chromatin (or cell)
SHOWN = (0.3, 0.6)
#: blurs that hide and keep most of the texture, and reach of the gap, in radii of the chromatin
COARSE, FINE, CORE = 0.25, 0.1, 0.4
#: larger frames are averaged over blocks of pixels until their smaller side has less than twice as many
SIZE = 64
#: pixels' worth of chromatin spread over every frame, so that no sum is 0
EMPTY = 1e-3


def phase_evidence(
    chromatin: Float[Tensor, "B T H W"], cell: Float[Tensor, "B T H W"] | None, grid: Grid
) -> Float[Tensor, "B T F"]:
    """Features ``[B, T, len(FEATURES)]`` of every frame, in float64; differentiable, dimensionless.

    Brightness is taken above the dark part of the frame and relative to its bright part, w = soft mask of what is
    brighter than about half of it. With sums over pixels, moments C about the centroid in µm, R^2 = area / pi:

    - area: log A_t / A,  A_t = dA (sum w)^2 / sum w^2,  A = sum_t A_t^2 / sum_t A_t over the video
    - brightness: log of the bright part over its mean over the video
    - compactness: log A_t / (4 pi sqrt(det C)), 0 for a disc or an ellipse, negative for scattered pieces
    - elongation: 1 - 4 det C / (tr C)^2, 0 for a disc, 1 for a line
    - haze: log of sum of squared brightness over sum w^2; 0 where all that is bright is chromatin
    - granularity, also fine: 1 - sum (G w)^2 / sum w^2, G a Gaussian blur of R / 4, R / 10
    - components: log(1 + n^2) / 2, n the Euler number (components minus holes) of the blurred soft mask, mean over
      thresholds
    - gap: density at the centroid relative to the mean density; 0 between two sisters
    - sister_distance: log m2 / R^2,  m2 = second moment along the major axis
    - bimodality, also across: m2^2 / m4; 1 for two points, 5/9 for a bar, 1/3 for a Gaussian
    - cell_elongation: as above, of the cell
    - furrow: log of the cell's width at its middle over that one standard deviation away
    - chromatin_share: log area of chromatin over area of cell

    The major axis enters as the projector C^4 / tr C^4, which is smooth where the axes are equally long. Only ``area``
    and ``brightness`` see other frames, and not their order.

    Source: participation ratio, Bell and Dean (1970), Discuss. Faraday Soc. 50:55; Euler number from pixel quads, Gray
        (1971), IEEE Trans. Comput. C-20:551; the features that tell phases apart: Held et al. (2010), Nature
        Methods 7:747.

    >>> disc = torch.zeros(1, 2, 32, 32)
    >>> y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    >>> disc[:, :] = torch.sigmoid(7 - torch.hypot(y - 16, x - 14))
    >>> found = phase_evidence(disc, None, Grid(spacing=(0.5, 0.5), dt=1.0))[0, 0]
    >>> [round(found[FEATURES.index(name)].item(), 2) for name in ("area", "compactness", "elongation", "components")]
    [0.0, 0.09, 0.0, 0.35]
    """
    block = max(1, min(chromatin.shape[-2:]) // SIZE)
    dy, dx = (block * length for length in grid.spacing)
    density, bright = _brightness(_reduced(chromatin, block))
    weight = density * _ramp(density)
    shape = _Shape(weight, dy, dx)
    squares = weight.square().sum((-2, -1)) + EMPTY
    radius = (shape.area / math.pi).sqrt()
    coarse, fine = (_blur(weight, scale * radius, dy, dx) for scale in (COARSE, FINE))
    near = torch.exp(-shape.distance2 / (2 * (CORE * radius)[..., None, None] ** 2))
    core = (weight * near).sum((-2, -1)) / (near.sum((-2, -1)) + EMPTY)
    along, across = shape.axis(major=True), shape.axis(major=False)
    features = [
        (shape.area / typical(shape.area)).log(),
        (bright / typical(bright)).log(),
        shape.compactness,
        shape.elongation,
        (density.square().sum((-2, -1)) / squares + EMPTY).log(),
        1 - coarse.square().sum((-2, -1)) / squares,
        1 - fine.square().sum((-2, -1)) / squares,
        _euler(_ramp(coarse / (coarse.amax((-2, -1), keepdim=True) + EMPTY))).square().log1p() / 2,
        core * (shape.mass + EMPTY) / squares,
        (along[0] / radius.square()).log(),
        along[0].square() / along[1],
        across[0].square() / across[1],
    ]
    if cell is None:
        features += [torch.zeros_like(radius)] * CELL_FEATURES
    else:
        body = _Shape(_ramp(_brightness(_reduced(cell, block))[0]), dy, dx)
        features += [body.elongation, body.furrow(), (shape.area / body.area).log()]
    return torch.stack(features, -1)


def typical(values: Float[Tensor, "B T *F"]) -> Float[Tensor, "B 1 *F"]:
    """Mean over the frames of a video, weighted with the values: that of the frames that have much.

    >>> typical(torch.tensor([[1.0, 3.0]])).tolist()
    [[2.5]]
    """
    return values.square().sum(1, keepdim=True) / values.sum(1, keepdim=True)


class _Shape:
    """Area and moments of soft masks ``[B, T, H, W]``."""

    def __init__(self, weight: Tensor, dy: float, dx: float) -> None:
        height, width = weight.shape[-2:]
        self.weight = weight
        self.mass = weight.sum((-2, -1))
        self.area = dy * dx * (self.mass.square() + EMPTY) / (weight.square().sum((-2, -1)) + EMPTY)
        share = (weight + EMPTY / (height * width)) / (self.mass + EMPTY)[..., None, None]
        y = dy * torch.arange(height, dtype=weight.dtype, device=weight.device)[:, None]
        x = dx * torch.arange(width, dtype=weight.dtype, device=weight.device)[None, :]
        self.share = share
        self.y = y - (share * y).sum((-2, -1))[..., None, None]
        self.x = x - (share * x).sum((-2, -1))[..., None, None]
        self.distance2 = self.y.square() + self.x.square()
        yy = (share * self.y.square()).sum((-2, -1)) + dy**2 / 12
        xx = (share * self.x.square()).sum((-2, -1)) + dx**2 / 12
        xy = (share * self.x * self.y).sum((-2, -1))
        self.moments = torch.stack([yy, xy, xy, xx], -1).unflatten(-1, (2, 2))
        self.det, self.trace = yy * xx - xy.square(), yy + xx

    @property
    def compactness(self) -> Tensor:
        return (self.area / (4 * math.pi * self.det.sqrt())).log()

    @property
    def elongation(self) -> Tensor:
        return 1 - 4 * self.det / self.trace.square()

    def offset2(self, major: bool) -> Tensor:
        """Squared distance from the centroid along the major, or the minor, axis."""
        fourth = torch.linalg.matrix_power(self.moments / self.trace[..., None, None], 4)
        projector = fourth / (fourth[..., 0, 0] + fourth[..., 1, 1])[..., None, None]
        yy, xy, xx = (projector[..., i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
        along = yy * self.y.square() + 2 * xy * self.x * self.y + xx * self.x.square()
        return along if major else self.distance2 - along

    def axis(self, major: bool) -> tuple[Tensor, Tensor]:
        """Second and fourth moment along an axis, those of a pixel included."""
        offset2 = self.offset2(major)
        pixel = self.area * EMPTY
        second = (self.share * offset2).sum((-2, -1)) + pixel
        fourth = (self.share * offset2.square()).sum((-2, -1)) + 3 * pixel.square()
        return second, fourth

    def furrow(self) -> Tensor:
        offset2 = self.offset2(major=True)
        relative = offset2 / ((self.share * offset2).sum((-2, -1)) + self.area * EMPTY)[..., None, None]
        middle = (self.share * torch.exp(-relative / (2 * 0.15**2))).sum((-2, -1))
        side = (self.share * torch.exp(-((relative - 1) ** 2) / (2 * 0.4**2))).sum((-2, -1))
        return ((middle + EMPTY) / (side + EMPTY)).log()


def _reduced(field: Tensor, block: int) -> Tensor:
    """Mean over blocks of pixels, in float64."""
    return F.avg_pool2d(field.double(), block, ceil_mode=True) if block > 1 else field.double()


def _brightness(field: Tensor) -> tuple[Tensor, Tensor]:
    """The field above its dark part relative to its bright part, each frame by itself; and that bright part."""
    field = _smooth(field)
    mean = field.mean((-2, -1), keepdim=True)
    spread = (field - mean).abs().mean((-2, -1), keepdim=True)
    dark = torch.sigmoid((mean - field) / _nonzero(0.5 * spread))
    above = (field - (dark * field).sum((-2, -1), keepdim=True) / dark.sum((-2, -1), keepdim=True)).clamp(min=0)
    bright = above.pow(5).sum((-2, -1), keepdim=True) / _nonzero(above.pow(4).sum((-2, -1), keepdim=True))
    bright = _nonzero(bright + EMPTY * field.abs().mean((-3, -2, -1), keepdim=True))
    return above / bright, bright[..., 0, 0]


def _nonzero(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, 1.0)


def _smooth(field: Tensor) -> Tensor:
    """Binomial 3x3 mean, mirrored at the edge."""
    for dim in (-2, -1):
        size = field.shape[dim]
        before = torch.cat([field.narrow(dim, 0, 1), field.narrow(dim, 0, size - 1)], dim)
        after = torch.cat([field.narrow(dim, 1, size - 1), field.narrow(dim, size - 1, 1)], dim)
        field = (before + 2 * field + after) / 4
    return field


def _ramp(relative: Tensor) -> Tensor:
    start, stop = SHOWN
    t = ((relative - start) / (stop - start)).clamp(0, 1)
    return t.square() * (3 - 2 * t)


def _blur(weight: Tensor, sigma: Tensor, dy: float, dx: float) -> Tensor:
    """Gaussian blur of standard deviation ``sigma`` µm, one for each frame; the frame continues periodically."""
    height, width = weight.shape[-2:]
    ky = 2 * math.pi * torch.fft.fftfreq(height, dy, dtype=weight.dtype, device=weight.device)[:, None]
    kx = 2 * math.pi * torch.fft.rfftfreq(width, dx, dtype=weight.dtype, device=weight.device)
    damping = torch.exp(-(ky.square() + kx.square()) * sigma[..., None, None].square() / 2)
    return torch.fft.irfft2(torch.fft.rfft2(weight) * damping, s=(height, width))


def _euler(mask: Tensor) -> Tensor:
    """Vertices minus edges plus faces of 4-connected pixels above a threshold, mean over thresholds from 0 to 1."""
    rows, columns = torch.minimum(mask[..., 1:, :], mask[..., :-1, :]), torch.minimum(mask[..., 1:], mask[..., :-1])
    faces = torch.minimum(rows[..., 1:], rows[..., :-1])
    return mask.sum((-2, -1)) - rows.sum((-2, -1)) - columns.sum((-2, -1)) + faces.sum((-2, -1))
