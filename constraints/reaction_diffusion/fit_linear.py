"""Diffusivities and reaction parameters that enter linearly: least squares under bounds, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from physgen.constraints.bounded import bounded_least_squares
from physgen.constraints.constants import Constants
from physgen.constraints.least_squares import IDENTIFIABLE, Estimate, judged, widened
from physgen.constraints.reaction_diffusion.blocks import blocks_of
from physgen.grid import Grid
from physgen.measure import noise_level
from physgen.stencil import laplacian

#: frames that a rate is interpolated between
POINTS = 4
#: relative error of integrals of cubics, in squares of that of straight lines
SQUARED = 2.2
#: Laplacian, as a part of the largest one that such a field could have, that is rounding: the field is uniform
UNIFORM = 1e-9


def fit_differential(
    fields: Float64[Tensor, "1 S T *space"],
    constants: Constants,
    grid: Grid,
    weight: Float64[Tensor, "S"],
    *,
    order: int = 2,
    wall: Mapping[str, float] | None = None,
) -> Estimate:
    """Constants of one video for which the Crank-Nicolson residual is least, in closed form.

    argmin sum_s weight_s^2 |y - sum_j theta_j X_j - X_0|^2 over low <= theta <= high,
    y = (u[t+1] - u[t]) / dt,  X_j = (x_j[t] + x_j[t+1]) / 2,  x_j = d(D lap u + R) / d theta_j

    The normal equations are summed in float64 from frame to frame, so memory is that of a few frames.

    Raises:
        InvalidArgument: constants that do not enter linearly together.

    Source: linear regression; bounds: Stark and Parker (1995), Computational Statistics 10:129.

    >>> import math
    >>> from physgen.equations.systems import reaction_system
    >>> grid, one = Grid(spacing=(1.0,), dt=math.log(2.0)), torch.ones(1, dtype=torch.float64)
    >>> doubling = torch.tensor([[1.0], [2.0]], dtype=torch.float64).expand(1, 1, 2, 3)
    >>> constants = Constants(reaction_system("fisher_kpp"), {"u": 0.0}, {"K": 1e9}, ["r"])
    >>> fit_differential(doubling, constants, grid, one).value.round(3).tolist()  # 1 but for the step of dt
    [0.962]
    """
    names = list(constants.bounds)
    products = fields.new_zeros(len(names) + 1, len(names) + 1, 1)
    scale = weight.view(-1, *[1] * (fields.ndim - 3))
    frames = ((u[:, :, 0], *_columns(u, constants, grid, order, wall)) for u in fields.split(1, 2))
    for (u, before, given_before), (v, after, given_after) in pairwise(frames):
        target = scale * ((v - u) / grid.dt - (given_before + given_after) / 2)[0]
        rows = torch.cat([scale * (before + after)[0] / 2, target[None]]).flatten(1)
        products[:, :, 0] += rows @ rows.T
    steepest = _steepest(fields * scale.unsqueeze(1), constants, grid)
    low, high = np.array(list(constants.bounds.values())).T
    return _bounded(products.cpu().numpy(), UNIFORM * steepest, fields[:, :, 1:].numel(), low, high)


def fit_integral(
    fields: Float64[Tensor, "1 S T *space"],
    constants: Constants,
    grid: Grid,
    weight: Float64[Tensor, "S"],
    *,
    order: int = 2,
    wall: Mapping[str, float] | None = None,
    seen: Float64[Tensor, "1 S T *space"] | None = None,
) -> Estimate:
    """Constants of one video whose rates, summed over time, are nearest to what it gained.

    argmin sum_s,t weight_s^2 min_a |seen[t] - a - sum_j theta_j X_j[t] - X_0[t]|^2 over low <= theta <= high,
    X_j[t] = int_0^t x_j,  x_j = d(D lap u + R) / d theta_j of ``fields``, a cubic in time between frames

    The change from frame to frame is mostly noise, that since the first frame is not, and a takes the noise of the
    first frame. ``seen`` are the frames as they are, of which ``fields`` are what `without_noise` left. Errors let
    residuals depend on each other within blocks of space and over time, and contain that of the steps of time. Memory
    is that of a few frames.

    Raises:
        InvalidArgument: constants that do not enter linearly together.

    Source: integral form of regression on dynamics, Schaeffer and McCalla (2017), Phys. Rev. E 96:023302; bounds: Stark
        and Parker (1995), Computational Statistics 10:129.

    >>> from physgen.equations.systems import reaction_system
    >>> grid, one = Grid(spacing=(1.0,), dt=0.1), torch.ones(1, dtype=torch.float64)
    >>> growing = torch.exp(2.0 * 0.1 * torch.arange(6.0, dtype=torch.float64)).view(1, 1, 6, 1).expand(1, 1, 6, 3)
    >>> constants = Constants(reaction_system("fisher_kpp"), {"u": 0.0}, {"K": 1e9}, ["r"])
    >>> fit_integral(growing, constants, grid, one).value.round(4).tolist()
    [2.0]
    """
    names, frames = list(constants.bounds), fields.shape[2]
    seen = fields if seen is None else seen
    scale = weight.view(-1, *[1] * (fields.ndim - 3))

    def rates(frame: int) -> Tensor:
        columns, rest = _columns(fields[:, :, frame, None], constants, grid, order, wall)
        return scale * torch.cat([columns, rest.unsqueeze(1)], 1)[0]

    blocks = torch.from_numpy(np.tile(blocks_of(fields.shape[3:]), fields.shape[1])).to(fields.device)
    products = fields.new_zeros(2, len(names) + 1, len(names) + 1, int(blocks.max()) + 1)
    summed = fields.new_zeros(2, len(names) + 1, len(blocks))
    for frame, gained in enumerate(_sums(rates, frames)):
        target = scale * (seen[0, :, frame] - seen[0, :, 0]) - grid.dt * gained[:, -1]
        rows = torch.cat([grid.dt * gained[:, :-1], target[:, None]], 1).flatten(2)
        products.index_add_(3, blocks, rows[:, :, None] * rows[:, None])
        summed = summed + rows
    products.index_add_(3, blocks, -summed[:, :, None] * summed[:, None] / frames)
    steepest = _steepest(fields * scale.unsqueeze(1), constants, grid)
    low, high = np.array(list(constants.bounds.values())).T
    noise = float((noise_level(seen[0]) * weight).square().sum()) * fields[0, 0, 1:].numel()
    fit, rough = (
        _bounded(each, grid.dt * UNIFORM * steepest, fields[:, :, 1:].numel(), low, high, noise)
        for each in products.cpu().numpy()
    )
    return _with_steps(fit, rough.value - fit.value, products[0, :-1, :-1].sum(2).cpu().numpy())


def quadrature(interval: int, frames: int, points: int = POINTS) -> tuple[int, np.ndarray]:
    """Which frame is the first, and the weights of it and those after it, of the integral over a frame interval.

    Exact for polynomials of time of as many coefficients as there are points: 4, if there are as many frames.

    >>> first, weights = quadrature(1, 9)
    >>> first, (24 * weights).round().tolist()
    (0, [-1.0, 13.0, 13.0, -1.0])
    """
    points = min(points, frames)
    first = min(max(interval + 1 - points // 2, 0), frames - points)
    powers = np.vander(first + np.arange(points) - interval, points, increasing=True).T
    return first, np.linalg.solve(powers, 1 / np.arange(1, points + 1))


def _sums(rates: Callable[[int], Tensor], frames: int) -> Iterator[Tensor]:
    """Integrals of the rates from the first frame to each, in frame intervals, by cubics and by straight lines."""
    rate = lru_cache(POINTS)(rates)
    total = torch.stack([torch.zeros_like(rate(0))] * 2)
    yield total
    for interval in range(frames - 1):
        total = total.clone()
        for part, points in zip(total, (POINTS, 2), strict=True):
            first, weights = quadrature(interval, frames, points)
            for index, weight in enumerate(weights):
                part += float(weight) * rate(first + index)
        yield total


def _with_steps(fit: Estimate, change: np.ndarray, gram: np.ndarray) -> Estimate:
    """The fit with the error of its steps of time, from what cubics change of the constants of straight lines.

    variance + e^2,  e = 2.2 |change| |X change| / |X theta|: the error of cubics is 2.2 times that of lines, squared,
    both relatively, of what decays: 11/720 z^4 and z^2/12 where z is the rate times the interval
    """
    size = float(fit.value @ gram @ fit.value)
    if size <= 0 or not np.isfinite(fit.covariance).all():
        return fit
    error = SQUARED * np.abs(change) * np.sqrt(max(float(change @ gram @ change), 0.0) / size)
    variance = np.diag(fit.covariance)
    ratio = np.divide(error**2, variance, out=np.zeros_like(error), where=variance > 0)
    factor = np.sqrt(1 + ratio)
    return replace(fit, covariance=fit.covariance * np.outer(factor, factor), coarse=float(np.sqrt(ratio.max())))


def _columns(
    u: Tensor, constants: Constants, grid: Grid, order: int, wall: Mapping[str, float] | None
) -> tuple[Tensor, Tensor]:
    """du/dt of a frame, as columns of the fitted constants ``[1, P, S, *space]`` and what the given ones make of it."""
    system, names = constants.system, list(constants.bounds)
    reactions = [name for name in names if name in system.parameters]
    diffusivity, values = constants.complete(dict.fromkeys(names, 0.0))
    shape = (-1, *[1] * (u.ndim - 3))
    walls, given = (
        u.new_tensor([x[species] for species in system.species]).view(shape)
        for x in (wall or dict.fromkeys(system.species, 0.0), diffusivity)
    )
    spread = laplacian(u - walls.unsqueeze(1), grid.spacing, grid.boundary, order).squeeze(2)
    frame, columns = u.squeeze(2), u.new_zeros(1, len(names), *spread.shape[1:])
    rest = system.reaction(frame, values)
    if reactions:
        rows = [names.index(name) for name in reactions]
        given_values = {name: value for name, value in values.items() if name not in reactions}
        columns[:, rows], rest = system.design(frame, reactions, given_values)
    for name, species in constants.diffusing.items():
        if name in names:
            index = system.species.index(species)
            columns[:, names.index(name), index] = spread[:, index]
    return columns, rest + given * spread


def _steepest(fields: Tensor, constants: Constants, grid: Grid) -> np.ndarray:
    """Norm of the steepest Laplacian of each fitted diffusivity's species; 0 for a reaction's parameter."""
    norms = 4 * sum(h**-2 for h in grid.spacing) * fields.transpose(0, 1).flatten(1).norm(dim=1)
    of_species = dict(zip(constants.system.species, norms.tolist(), strict=True))
    return np.array([of_species.get(constants.diffusing.get(name, ""), 0.0) for name in constants.bounds])


def _bounded(
    products: np.ndarray, least: np.ndarray, count: int, low: np.ndarray, high: np.ndarray, noise: float = 0.0
) -> Estimate:
    """Least squares from products of columns X and target y in each block, ``[P + 1, P + 1, G]``, under bounds.

    Columns shorter than ``least`` are rounding. ``count`` is that of the rows, ``noise`` the power of it in y.
    """
    gram, moment, square = products[:-1, :-1].sum(2), products[:-1, -1].sum(1), float(products[-1, -1].sum())
    size = np.sqrt(np.diag(gram))
    silent = size <= least
    gram[silent], gram[:, silent], moment[silent], size[silent] = 0.0, 0.0, 0.0, 1.0
    values, vectors = np.linalg.eigh(gram / np.outer(size, size))
    values = values.clip(min=1e-16)
    root = np.sqrt(values)
    factor, target = root[:, None] * vectors.T, vectors.T @ (moment / size) / root
    theta = bounded_least_squares(factor, target, low * size, high * size) / size
    left = max(0.0, square - 2 * float(moment @ theta) + float(theta @ gram @ theta))
    inverse = (vectors / values) @ vectors.T / np.outer(size, size)
    scores = (products[:-1, -1] - np.einsum("pqg,q->pg", products[:-1, :-1], theta)).T
    covariance = widened(inverse * left / max(count - len(theta), 1), inverse, scores)
    covariance[silent] = covariance[:, silent] = np.inf
    condition = float("inf") if silent.any() else float(root[-1] / root[0])
    determined = bool((np.diag(covariance) < (high - low) ** 2).all())
    identifiable = determined and condition <= IDENTIFIABLE
    one = Estimate(
        theta, covariance, condition, identifiable, np.stack([low, high]), len(scores) if len(scores) > 1 else count
    )
    return judged(one, left, square, noise)
