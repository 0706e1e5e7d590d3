"""Parameters measured back from fields, by other ways than the constraints go."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from physgen.grid import Grid

Array = npt.NDArray[np.float64]

#: first frame that a front is followed from, and width of the gap until which it is, in pixels
SETTLED, CLOSING = 3, 3.0


def spread_diffusivity(field: Array, grid: Grid) -> float:
    """Diffusivity in µm²/s of a dye between walls, from the growth of its second moment.

    M(t) - M(0) = D int_0^t (4 m - 2 oint c (x - x_0) . n ds) dt,  M = int |x - x_0|^2 c dx,  m = int c dx

    ``field`` is ``[T, H, W]``, x_0 its centroid in the first frame; D is the least-squares slope over all frames. Exact
    but for the quadrature: the wall term is what no flux through the walls takes from the growth of 4 D t m.

    Source: Einstein (1905), Ann. Phys. 322:549; wall term: Green's second identity.

    >>> from physgen.simulators import dye
    >>> grid = Grid(spacing=(2.0, 2.0), dt=0.1)
    >>> spot = dye.drops(1, 64, np.random.default_rng(0))[None]
    >>> field = dye.diffuse(spot, np.array([20.0]), 0.1 * np.arange(25.0), (2.0, 2.0))[0]
    >>> abs(spread_diffusivity(field, grid) / 20 - 1) < 0.01
    True
    """
    mass = field.sum((1, 2))
    moment, wall = np.zeros(len(field)), np.zeros(len(field))
    for axis, h in enumerate(grid.spacing):
        across = field.sum(2 - axis)
        x = (np.arange(across.shape[1]) + 0.5) * h
        x -= (across[0] @ x) / mass[0]
        moment += across @ (x**2)
        wall += ((x[-1] + h / 2) * across[:, -1] - (x[0] - h / 2) * across[:, 0]) / h
    rate = 4 * mass - 2 * wall
    expected = grid.dt * np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    return float(expected @ (moment - moment[0]) / (expected @ expected))


def front_speed(field: Array, grid: Grid, orientation: str) -> float:
    """Speed in µm/s at which the two sides of a straight gap close; NaN where it is closed from the start.

    c = -(1/2) dw/dt,  w = width of u < 1/2, linear between pixels, mean along the gap

    ``field`` is ``[T, H, W]``, ``orientation`` that of the gap, ``vertical`` or ``horizontal``. The slope is that of
    the frames from the fourth on until the gap is three pixels wide.

    Source: for a front of Fisher-KPP that has settled c = 2 sqrt(r D), Fisher (1937), Ann. Eugenics 7:355.

    >>> x = np.arange(32.0)
    >>> gap = np.stack([np.clip(np.abs(x - 15.5) - 10.5 + 0.5 * t, 0, 1) for t in range(9)])
    >>> round(front_speed(gap[:, None].repeat(4, 1), Grid(spacing=(2.0, 2.0), dt=0.5), "vertical"), 6)
    2.0
    """
    across = field if orientation == "vertical" else field.swapaxes(1, 2)
    low, high = np.minimum(across[..., :-1], across[..., 1:]), np.maximum(across[..., :-1], across[..., 1:])
    part = np.clip((0.5 - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    width = part.sum(2).mean(1)
    used = [t for t in range(SETTLED, len(width)) if width[SETTLED : t + 1].min() >= CLOSING]
    if len(used) < 3:
        return float("nan")
    slope = np.polyfit(np.array(used) * grid.dt, width[used], 1)[0]
    return float(-0.5 * slope * grid.spacing[1 if orientation == "vertical" else 0])


def feed_rate(fields: Array, grid: Grid, kill: float) -> float:
    """Feed rate F in 1/s of a Gray-Scott reaction on a periodic square, from the balance of all substance.

    d/dt int (u + v) = F int (1 - u - v) - k int v

    ``fields`` is (u, v) ``[2, T, H, W]``, ``kill`` is k in 1/s; F is the least-squares slope of the integral of this
    over time. Neither diffusion nor the autocatalytic step enters.

    Source: sum of the equations of Pearson (1993), Science 261:189.

    >>> t = np.arange(9.0)
    >>> u = (1 - np.exp(-0.03 * t))[:, None, None] * np.ones((1, 4, 4))  # fed, without the catalyst
    >>> round(feed_rate(np.stack([u, 0 * u]), Grid((1.0, 1.0), 1.0, "periodic"), 0.06), 4)
    0.03
    """
    u, v = fields.mean((2, 3))

    def integral(rate: Array) -> Array:
        return grid.dt * np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])

    change, fed = u + v - u[0] - v[0] + kill * integral(v), integral(1 - u - v)
    return float(fed @ change / (fed @ fed))
