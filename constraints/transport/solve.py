"""The flow that explains most of what changes: Gauss-Newton steps from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints.transport.carried import Carried, carry
from physgen.constraints.transport.motion import LAPLACIAN, Motion
from physgen.dynamics.spectral import heat_kernel, transform
from physgen.ops.backend import resolve_backend
from physgen.ops.stream_flow import RINGS, solve_stream, stream_product
from physgen.tensors import of_samples

#: standard deviations of the blur, in pixels, that the search goes through
BLURS = (4.0, 2.0, 1.0, 0.0)
#: Gauss-Newton steps at each blur, and without one
STEPS, LAST_STEPS = 2, 12
#: conjugate gradients of each, and the reduction of the gradient's norm that ends them
PRODUCTS, REDUCTION = 100, 0.03
#: part by which the energy falls in the last step, of float32 and of float64
SETTLED = {torch.float32: 1e-4, torch.float64: 1e-9}
#: parts of a step that are tried when the whole one does not pay
PARTS = (1.0, 0.5, 0.25, 0.0625)


@torch.no_grad()
def fit_motion(
    fields: Float[Tensor, "B S T H W"], motion: Motion, smoothness: float, *, steady: bool, wraps: bool, gain: bool
) -> tuple[Float[Tensor, "B P 2 H W"], Float[Tensor, "B T-1"]]:
    """Displacements between frames, in units of h, one of each pair or (``steady``) one of all; and gains of pairs.

    argmin_z 1/2 sum |r|^2 + smoothness/2 G sum_pairs |grad d|^2,  d = C z,  G the mean of |grad c|^2 over the video

    Blurred frames first, so that motion by several pixels is found. Each step solves the linear least-squares problem
    of Horn and Schunck around the displacements so far, by conjugate gradients. A step that does not pay is shortened.

    Source: Horn and Schunck (1981), Artificial Intelligence 17:185; coarse to fine with warping: Brox et al. (2004),
        ECCV, LNCS 3024:25.

    >>> x = torch.arange(32, dtype=torch.float64)
    >>> wave = torch.stack([torch.sin((x - 0.6 * t) * torch.pi / 8).expand(32, 32) for t in range(3)])[None, None]
    >>> motion = Motion(True, "periodic", 32, 32, (1.0, 1.0))
    >>> d, _ = fit_motion(wave, motion, 0.05, steady=True, wraps=True, gain=False)
    >>> [round(x, 2) + 0.0 for x in d.mean((0, 1, 3, 4)).tolist()]
    [0.0, 0.6]
    """
    found = [_fit_one(one, motion, smoothness, steady=steady, wraps=wraps, gain=gain) for one in fields.split(1)]
    return torch.cat([d for d, _ in found]), torch.cat([gains for _, gains in found])


@torch.no_grad()
def fit_increment(
    pairs: Float[Tensor, "P S 2 H W"], motion: Motion, smoothness: float, wraps: bool, steps: int
) -> Float[Tensor, "2 H W"]:
    """One small displacement, in units of h, between the frames of all pairs, whose mean squared slope is near 1."""
    problem = _Problem(pairs, motion, smoothness, False, wraps, False)
    problem.pairs = len(pairs)
    return motion.displacement(_gauss_newton(problem, pairs.new_zeros(1, motion.unknowns), steps))[0]


def _fit_one(
    fields: Tensor, motion: Motion, smoothness: float, *, steady: bool, wraps: bool, gain: bool
) -> tuple[Tensor, Tensor]:
    """Of one sample: together, rounding would let samples see each other where a search ends."""
    batch, _, frames = fields.shape[:3]
    z = fields.new_zeros(batch * (1 if steady else frames - 1), motion.unknowns)
    gains = fields.new_zeros(batch, frames - 1)
    for blur in BLURS:
        seen = _blurred(fields, blur, motion, wraps)
        size = slope_power(seen, motion, wraps).sqrt()
        seen = seen / of_samples(torch.where(size > 0, size, 1), seen)
        problem = _Problem(seen, motion, smoothness, steady, wraps, gain)
        z = _gauss_newton(problem, z, LAST_STEPS if blur == 0 else STEPS)
        gains = problem.at(z).gain.view(batch, -1)
    d = motion.displacement(z)
    return d.view(batch, -1, *d.shape[1:]), gains


def slope_power(fields: Float[Tensor, "B S T H W"], motion: Motion, wraps: bool) -> Float[Tensor, "B"]:
    """|grad c|^2 summed over species, mean over frames and pixels, in units of h."""
    total = fields.new_zeros(len(fields))
    for dim, h in ((3, motion.spacing[0]), (4, motion.spacing[1])):
        step = fields.roll(-1, dim) - fields if wraps else fields.diff(dim=dim)
        if step.numel():
            total = total + step.square().sum(1).mean((1, 2, 3)) / h**2
    return total


class _Problem:
    """The least-squares problem of frames whose mean squared slope is 1."""

    def __init__(
        self, fields: Tensor, motion: Motion, smoothness: float, steady: bool, wraps: bool, gain: bool
    ) -> None:
        self.before, self.after = (x.transpose(1, 2).flatten(0, 1) for x in (fields[:, :, :-1], fields[:, :, 1:]))
        self.motion, self.smoothness, self.wraps, self.gain = motion, smoothness, wraps, gain
        self.pairs = fields.shape[2] - 1 if steady else 1
        kind = resolve_backend("auto", fields.device)
        self.compiled = kind if motion.stream and not gain else "reference"

    def at(self, z: Tensor) -> Carried:
        """What is left at unknowns, of each pair."""
        d = self.motion.displacement(z).repeat_interleave(self.pairs, 0)
        return carry(self.before, self.after, d, self.motion, self.wraps, self.gain)

    def energy(self, z: Tensor, left: Carried) -> Float[Tensor, "N"]:
        rough = self.pairs * self.motion.roughness(self.motion.displacement(z))
        return (self.summed(left.residual.square().sum((1, 2, 3))) + self.smoothness * rough) / 2

    def summed(self, of_pairs: Tensor) -> Tensor:
        """Sums over the pairs that share their unknowns."""
        return of_pairs.unflatten(0, (-1, self.pairs)).sum(1)

    def gradient(self, z: Tensor, left: Carried) -> Float[Tensor, "N M"]:
        return self._back(left, left.residual, self.motion.displacement(z))

    def tensors(self, left: Carried) -> Float[Tensor, "N 3 H W"]:
        """Products of slopes, summed over species and pairs: yy, yx and xx."""
        slopes = left.slopes
        return torch.stack([self.summed((slopes[:, i] * slopes[:, j]).sum(1)) for i, j in ((0, 0), (0, 1), (1, 1))], 1)

    def hessian(self, left: Carried) -> Callable[[Tensor], Tensor]:
        """The Gauss-Newton matrix at a point, as a function of vectors."""
        stiffness, motion, slopes = self.smoothness * self.pairs, self.motion, left.slopes
        yy, yx, xx = self.tensors(left).unbind(1)
        if left.level is not None:
            mixed = self.summed((slopes * left.level[:, None]).sum(2))
            level = self.summed(left.level.square().sum(1))
        if self.gain:
            power = left.brightness.square().sum((1, 2, 3))
            bright = self._back(left, left.brightness, torch.zeros_like(slopes[:: self.pairs, :, 0]), apart=True)
            bright = bright / torch.where(power > 0, power, 1).sqrt()[:, None]

        if self.compiled == "triton" and motion.walls in RINGS:
            tensors = torch.stack([yy, yx, xx], 1)
            return lambda vector: stream_product(vector, tensors, stiffness, motion.spacing, motion.walls)

        def product(vector: Tensor) -> Tensor:
            d = motion.displacement(vector)
            y, x = d.unbind(1)
            force = torch.stack([yy * y + yx * x, yx * y + xx * x], 1) + stiffness * motion.stiffness(d)
            if left.level is not None:
                growth = motion.dilation(d)
                force = force + mixed * growth[:, None]
                force = force + motion.transposed_dilation((mixed * d).sum(1) + level * growth)
            image = motion.transposed(force)
            if self.gain:
                rows = bright.unflatten(0, (-1, self.pairs))
                image = image - ((rows @ vector[:, :, None]) * rows).sum(1)
            return image

        return product

    def _back(self, left: Carried, change: Tensor, d: Tensor, apart: bool = False) -> Tensor:
        """The gradient that changes of the residual make; of each pair ``apart``."""
        force = (left.slopes * change[:, None]).sum(2)
        if left.level is not None:
            force = force + self.motion.transposed_dilation((left.level * change).sum(1))
        if apart:
            return self.motion.transposed(force)
        stiff = self.smoothness * self.pairs * self.motion.stiffness(d)
        return self.motion.transposed(self.summed(force) + stiff)

    def solution(self, left: Carried, gradient: Tensor, going: Bool[Tensor, "N"]) -> Float[Tensor, "N M"]:
        """The Gauss-Newton step, of problems that are going."""
        motion, stiffness = self.motion, self.smoothness * self.pairs
        texture = self.summed(left.slopes.square().sum((1, 2)).mean((1, 2))) / 2
        texture = texture.clamp(min=1e-3 * self.pairs)
        parts = motion.parts(texture, stiffness)
        if self.compiled == "numba":
            step, drifts = torch.zeros_like(gradient), 1 / (texture * motion.height * motion.width)
            step[going] = solve_stream(
                -gradient[going],
                self.tensors(left)[going],
                motion.bases(gradient),
                parts[going],
                drifts[going],
                stiffness,
                motion.spacing,
                motion.walls,
                PRODUCTS,
                REDUCTION,
            )
            return step
        return -_solve(self.hessian(left), gradient, lambda v: motion.smoothed(v, texture, parts), going)


def _gauss_newton(problem: _Problem, z: Tensor, steps: int) -> Tensor:
    left = problem.at(z)
    energy = problem.energy(z, left)
    going = torch.ones(len(z), dtype=torch.bool, device=z.device)
    settled = SETTLED[z.dtype]
    for _ in range(steps):
        gradient = problem.gradient(z, left)
        step = problem.solution(left, gradient, going)
        moved, found, new = z, energy, left
        waiting = going.clone()
        for part in PARTS:
            tried = torch.where(of_samples(waiting, z), z + part * step, moved)
            candidate = problem.at(tried)
            level = problem.energy(tried, candidate)
            better = waiting & (level < energy)
            moved, found = torch.where(of_samples(better, z), tried, moved), torch.where(better, level, found)
            waiting = waiting & ~better
            if not bool(waiting.any()):
                new = candidate
                break
        else:
            new = problem.at(moved)
        going = going & (energy - found > settled * energy)
        z, energy, left = moved, found, new
        if not bool(going.any()):
            break
    return z


def _solve(
    matrix: Callable[[Tensor], Tensor],
    right: Float[Tensor, "N M"],
    smoothed: Callable[[Tensor], Tensor],
    going: Bool[Tensor, "N"],
) -> Float[Tensor, "N M"]:
    """Conjugate gradients of each problem by itself: those that are done, or not going, stay."""
    x = torch.zeros_like(right)
    residual, y = right.clone(), smoothed(right)
    direction, product = y.clone(), (right * y).sum(1)
    enough = REDUCTION**2 * product
    for _ in range(PRODUCTS):
        going = going & (product > enough) & (product > 0)
        if not bool(going.any()):
            break
        image = matrix(direction)
        curvature = (direction * image).sum(1)
        going = going & (curvature > 0)
        alpha = torch.where(going, product / torch.where(going, curvature, 1), 0)[:, None]
        x, residual = x + alpha * direction, residual - alpha * image
        y = smoothed(residual)
        new = (residual * y).sum(1)
        ratio = torch.where(going, new / torch.where(product > 0, product, 1), 0)[:, None]
        direction = torch.where(going[:, None], y + ratio * direction, direction)
        product = torch.where(going, new, product)
    return x


def _blurred(fields: Tensor, blur: float, motion: Motion, wraps: bool) -> Tensor:
    if blur == 0:
        return fields
    boundary = "periodic" if wraps else LAPLACIAN["free"]
    variance = torch.tensor([blur**2 / 2], dtype=torch.float64)
    kernels = [heat_kernel(cells, 1.0, boundary, 2, variance)[0] for cells in fields.shape[3:]]
    return transform(fields, kernels)
