"""Fields without the part that is noise, before parameters are fitted to them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.dynamics.spectral import eigenbasis, transform
from physgen.grid import Grid

#: power, relative to that of the noise, above which a mode is signal
SIGNAL = 8.0
#: probability that any mode of noise alone is taken for signal
CHANCE = 1e-4
#: correlation of what is removed, from one frame or two to the next, beyond which it is not noise
CORRELATED = 0.25


@torch.no_grad()
def without_noise(
    fields: Float[Tensor, "B S T *space"], grid: Grid, signal: float = SIGNAL
) -> Float64[Tensor, "B S T *space"]:
    """Spatial modes of the fields that stand out of noise that is white in space and time.

    a = V^T u, in the eigenbasis of the Laplacian;  keep mode k where mean_t a_k^2 > signal sigma^2,
    sigma^2 = median_k mean_t (a_k[t+1] - 2 a_k[t] + a_k[t-1])^2 / 6

    The second difference in time leaves noise and little of a smooth signal, so clean fields keep all but modes that
    are gone within a frame. Dynamics that turn many modes within a few frames look like noise there, but are correlated
    in time: a species is returned as it is where what would be removed, r, is, from one frame or two to the next,

    |mean_t,k r_k[t] r_k[t+l]| > mean_t,k r_k^2 / 4,  l = 1 or 2: true of one of them at any single frequency

    Fields of two frames are returned as they are. At a ``dirichlet`` wall fields are 0.

    Source: hard thresholding, Donoho and Johnstone (1994), Biometrika 81:425.

    >>> still = torch.linspace(0, 1, 8).expand(1, 1, 3, 8)
    >>> torch.allclose(without_noise(still, Grid(spacing=(1.0,), dt=1.0)), still.double())
    True
    """
    fields = fields.double()
    if fields.shape[2] < 3:
        return fields
    axes = zip(fields.shape[3:], grid.spacing, strict=True)
    bases = [eigenbasis(cells, length, grid.boundary)[1] for cells, length in axes]
    modes = transform(fields, [basis.T for basis in bases])
    power = modes.square().mean(2, keepdim=True)
    jumps = modes.diff(n=2, dim=2).square().mean(2, keepdim=True) / 6
    each = (*fields.shape[:2], *[1] * (fields.ndim - 2))
    removed = modes * (power <= signal * jumps.flatten(2).median(2).values.view(each))
    white = torch.stack([_product(removed, lag).abs() <= CORRELATED * _product(removed, 0) for lag in (1, 2)]).all(0)
    return transform(modes - removed * white.view(each), bases)


def _product(modes: Tensor, lag: int) -> Tensor:
    """Mean product ``[B, S]`` of modes with themselves, ``lag`` frames later."""
    frames = modes.shape[2] - lag
    return (modes[:, :, :frames] * modes[:, :, lag:]).flatten(2).mean(2)


def beyond_chance(fields: Float[Tensor, "B S T *space"]) -> float:
    """Power, relative to that of the noise, that noise alone reaches in any mode of one video in ten thousand.

    >>> round(beyond_chance(torch.zeros(1, 1, 9, 32, 32)), 2), round(beyond_chance(torch.zeros(1, 1, 99, 32, 32)), 2)
    (5.58, 1.92)
    """
    from scipy.stats import chi2

    frames = fields.shape[2]
    return float(chi2.isf(CHANCE / fields[0, 0, 0].numel(), frames) / frames)
