"""How far what is seen has spread, and how far its front has gone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.grid import Grid
from physgen.stencil import laplacian

#: pixels over which a frame is smoothed before the line around what is bright is measured
SMOOTH = 1.0


@torch.no_grad()
def mean_squared_width(field: Float[Tensor, "T *space"], grid: Grid) -> tuple[Float[Tensor, "T"], Float[Tensor, "T"]]:
    """Mean squared distance from the middle, µm², and what it gains a second where D is 1 µm²/s.

    w(t) = sum_x c |x - x0|² / sum_x c,  x0(t) = sum_x c x / sum_x c,  g(t) = sum_x c lap |x - x0|² / sum_x c

    So dw/dt = D g by the law of diffusion in a frame that nothing leaves, ``no-flux`` or ``periodic``. g is 2 for each
    axis of space, 4 in a plane, less what is at the walls: 0 where the field is uniform.

    Source: second moment of the diffusion equation, Crank (1975), The Mathematics of Diffusion; the discrete Laplacian
        is a symmetric matrix.

    >>> grid, x = Grid(spacing=(1.0, 1.0), dt=1.0), torch.arange(33.0) - 16
    >>> blob = torch.exp(-(x**2) / 8)
    >>> width, gain = mean_squared_width((blob[:, None] * blob)[None], grid)
    >>> round(width.item(), 3), round(gain.item(), 3)
    (8.0, 4.0)
    """
    width, gain = torch.zeros(2, len(field), dtype=torch.float64)
    axes = range(1, field.ndim)
    for axis, length in zip(axes, grid.spacing, strict=True):
        others = [other for other in axes if other != axis]
        share = field.sum(others, dtype=torch.float64) if others else field.double()
        share = share / share.sum(1, keepdim=True)
        x = length * torch.arange(share.shape[1], dtype=torch.float64)
        squared = (x - (share * x).sum(1, keepdim=True)).square()
        width += (share * squared).sum(1)
        gain += (share * laplacian(squared[None, None], (length,), grid.boundary)[0, 0]).sum(1)
    return width, gain


def front_advance(field: Float[Tensor, "T H W"], level: float, grid: Grid) -> npt.NDArray[np.float64]:
    """Distance ``[T]`` that the line where the field is ``level`` went since the first frame, outward, µm.

    s(t) = sum_t (A[t+1] - A[t]) / ((L[t] + L[t+1]) / 2)

    A is the area above the level and L the length of the line around it inside the frame, so that s is the same for a
    flat front, a disc, and several of them. Frames are smoothed by a pixel. What of a pixel is above the level is
    clip(1/2 + (c - level) / (|dc/dx| + |dc/dy|), 0, 1) with slopes a pixel.

    Source: area swept by a moving curve; the line by marching squares, Lorensen and Cline (1987), SIGGRAPH 21:163.

    >>> x = torch.arange(40.0)
    >>> flat = torch.stack([torch.sigmoid(10 + 2 * t - x).expand(20, 40) for t in range(4)])
    >>> front_advance(flat, 0.5, Grid(spacing=(0.5, 0.5), dt=1.0)).round(2).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    from skimage.filters import gaussian
    from skimage.measure import find_contours

    area, length = np.zeros((2, len(field)))
    for t, frame in enumerate(field):
        smooth = gaussian(frame.double().numpy(), SMOOTH, preserve_range=True)
        slope = np.abs(np.gradient(smooth)).sum(0)
        covered = 0.5 + (smooth - level) / np.maximum(slope, np.finfo(float).tiny)
        area[t] = grid.cell_area * np.trapezoid(np.trapezoid(np.clip(covered, 0, 1)))
        steps = [np.diff(line, axis=0) * grid.spacing for line in find_contours(smooth, level)]
        length[t] = sum(float(np.hypot(*step.T).sum()) for step in steps)
    swept, along = np.diff(area), (length[1:] + length[:-1]) / 2
    gone = np.divide(swept, along, out=np.zeros_like(swept), where=along > 0)
    return np.concatenate([[0.0], gone.cumsum()])
