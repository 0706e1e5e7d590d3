"""The trajectory of a law that is nearest to a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sympy as sp
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from physgen.dynamics.spectral import transform
from physgen.equations.expression import power
from physgen.equations.reaction_system import ReactionSystem, Value
from physgen.ops.lawson import Linearised

Step = Callable[[Tensor], Tensor]

#: steps of Gauss-Newton with all frames, and of conjugate gradients in each, without weights and with them
OUTER, INNER, INNER_WEIGHTED = 3, 5, 30
#: decrease of the squared distance, and of the squared residual of a linear problem, as a part of it, to stop at
ENOUGH, SOLVED = 1e-5, 1e-28
#: parts of a step that are tried
LENGTHS = (1.0, 0.3, 0.1, 0.03)


@dataclass(frozen=True)
class Law:
    """One part of a frame interval under a law, and what its tangent needs.

    Attributes:
        step: a frame ``[1, S, 1, *space]`` one part later.
        parts: of a frame interval.
        jacobian: dR_s/dc_r ``[1, S, S, T, *space]`` of fields ``[1, S, T, *space]``, 1/s.
        dt: of a part, s.
        bases: eigenvectors of the Laplacian along each axis.
        decay: what diffusion leaves of each mode in one part, ``[S, *space]``.
        linear: whether the step is linear.
        linearised: of the Jacobian along a path, a compiled tangent, where there is one.
        accuracy: of the step, as a part of the field; a video that is as near to a trajectory is one.
    """

    step: Step
    parts: int
    jacobian: Step
    dt: float
    bases: Sequence[Tensor]
    decay: Tensor
    linear: bool
    linearised: Callable[[Tensor], Linearised] | None = None
    accuracy: float = 1e-14

    def roll(self, path: Float[Tensor, "1 S P *space"], frames: int) -> Float[Tensor, "1 S Q *space"]:
        """A trajectory, of one frame or more, continued to Q = (frames - 1) parts + 1 parts of frames."""
        steps = [path[:, :, -1:]]
        for _ in range((frames - 1) * self.parts + 1 - path.shape[2]):
            steps.append(self.step(steps[-1]))
        return torch.cat([path, *steps[1:]], 2)


def is_linear(system: ReactionSystem) -> bool:
    """Whether the rates are linear in the species.

    >>> from physgen.equations.systems import reaction_system
    >>> is_linear(reaction_system("diffusion")), is_linear(reaction_system("fisher_kpp"))
    (True, False)
    """
    species = [system.symbols[name] for name in system.species]
    return all(rate.diff(a, b) == 0 for rate in system.rates for a in species for b in species)


def lowest_values(
    system: ReactionSystem, parameters: Mapping[str, Value], fields: Float64[Tensor, "1 S T *space"]
) -> Float64[Tensor, "S"]:
    """Lowest value of each species in the first frame of a trajectory near ``fields``.

    0 where the law keeps species positive: R_s >= 0 wherever c_s = 0 and the others are positive, for every s; but the
    lowest of ``fields`` where that is below 0 and the law is linear; -inf for other laws.

    Source: quasi-positivity, Pierre (2010), Milan J. Math. 78:417.

    >>> from physgen.equations.systems import SYSTEMS, reaction_system
    >>> fields = torch.full((1, 2, 1, 4), -0.1, dtype=torch.float64)
    >>> for name in ("gray_scott", "fitzhugh_nagumo"):
    ...     lowest_values(reaction_system(name), SYSTEMS[name].values, fields).tolist()
    [0.0, 0.0]
    [-inf, -inf]
    """
    species = [system.symbols[name] for name in system.species]
    numbers = {system.symbols[name]: float(value) for name, value in parameters.items()}
    positive = {symbol: sp.Symbol(symbol.name, positive=True) for symbol in species}
    rates = [rate.replace(power, sp.Pow).subs(numbers) for rate in system.rates]
    if not all(rate.subs(c, 0).subs(positive).is_nonnegative for rate, c in zip(rates, species, strict=True)):
        return torch.full_like(fields[0, :, 0].flatten(1)[:, 0], -torch.inf)
    lowest = fields.transpose(0, 1).flatten(1).amin(1).clamp(max=0)
    return lowest if is_linear(system) else torch.zeros_like(lowest)


@dataclass(frozen=True)
class Box:
    """Lowest and highest values of the first frame, of each cell or of all, ``[1, S, 1, *space]``.

    >>> box = Box(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    >>> box.nearest(torch.tensor([[[[-1.0, 0.5]]]])).tolist()
    [[[[0.0, 0.5]]]]
    """

    lowest: Tensor
    highest: Tensor

    def nearest(self, first: Float[Tensor, "1 S 1 *space"]) -> Float[Tensor, "1 S 1 *space"]:
        """The frame of the box that is nearest to a frame."""
        return first.maximum(self.lowest.to(first)).minimum(self.highest.to(first))

    def free(self, first: Tensor, slope: Tensor) -> Tensor:
        """1 for each cell that may go down a slope, 0 for those that would leave the box."""
        rises, falls = first < self.highest.to(first), first > self.lowest.to(first)
        return torch.where(slope < 0, rises, falls).to(slope)


def nearest_trajectory(
    fields: Float[Tensor, "1 S T *space"], law: Law, box: Box, weight: Float[Tensor, "1 S T *space"] | None = None
) -> Float[Tensor, "1 S 1 *space"]:
    """First frame of the trajectory that is nearest to a video, approximately.

    argmin_{u in box} sum_t |Phi^t(u) - fields[t]|^2,  each square times its weight, where there are weights

    by Gauss and Newton, from the first frame of the video on: one step with 2, 3, 5, 9, ... of the frames (none where
    the law is linear), and at most 3 with all of them. Their linear problem is solved by 5 steps of conjugate gradients
    with a tangent that costs a part of the law itself. A step that does not come nearer is shortened; of values at
    the walls of the box, only those that go inside are changed. For diffusion alone the first step is exact:

    u(k) = sum_t e^{D lambda_k t} fields(k, t) / sum_t e^{2 D lambda_k t} for each mode k

    With weights it is not, and there are up to 30 conjugate gradients.

    Source: incremental 4D-Var, Courtier, Thepaut and Hollingsworth (1994), Q. J. R. Meteorol. Soc. 120:1367; growing
        horizons: Pires, Vautard and Talagrand (1996), Tellus A 48:96; bounds: Bertsekas (1982), SIAM J. Control Optim.
        20:221.
    """
    first, frames = box.nearest(fields[:, :, :1]), fields.shape[2]
    horizons = [] if law.linear else [1 + 2**power for power in range((frames - 2).bit_length())]
    path = first
    root = None if weight is None else (weight / weight.mean()).sqrt().to(fields)
    for horizon in [*horizons, *[frames] * OUTER]:
        seen, path = fields[:, :, :horizon], law.roll(path, horizon)
        part = 1.0 if root is None else root[:, :, :horizon]
        misfit = part * (path[:, :, :: law.parts] - seen)
        distance = energy(misfit)
        if not distance > law.accuracy**2 * energy(part * seen):
            continue
        tangent = Tangent(law, path)
        slope = tangent.adjoint(part * misfit)
        change = solution(tangent, slope, box.free(path[:, :, :1], slope), part)
        if not -float((slope * change).sum()) > (SOLVED if law.linear else ENOUGH) * distance:
            continue
        for length in LENGTHS:
            tried = law.roll(box.nearest(path[:, :, :1] + length * change), horizon)
            if energy(part * (tried[:, :, :: law.parts] - seen)) < distance:
                path = tried
                break
    return path[:, :, :1]


def energy(x: Tensor) -> float:
    """Sum of squares, in float64."""
    return float(x.square().sum(dtype=torch.float64))


class Tangent:
    """Change of a trajectory's frames with its first one, approximately, and the adjoint of that, exactly.

    m[p+1] = V decay V^T exp(dt (R'(u[p]) + R'(u[p+1])) / 2) m[p] for each part p: reaction in each cell, then diffusion

    Source: Trotter (1959), Proc. Amer. Math. Soc. 10:545.
    """

    def __init__(self, law: Law, path: Float[Tensor, "1 S P *space"]) -> None:
        self._law, self._compiled = law, None
        one = torch.ones_like(path[:, :, :1])
        if law.linearised:
            self._compiled = law.linearised(law.jacobian(path))
            share = self(one).square()
        else:
            rates = law.jacobian(path)[0].movedim(2, 0)
            exponent = law.dt / 2 * (rates[1:] + rates[:-1])
            if exponent.shape[1] == 1:
                self._growth = exponent.exp()
            else:
                self._growth = torch.linalg.matrix_exp(exponent.movedim((1, 2), (-2, -1))).movedim((-2, -1), (1, 2))
            share = self._after(one, torch.ones_like(law.decay) if law.linear else law.decay).square()
        total = share.sum(2, keepdim=True)
        self._size, self._left = total.sqrt(), torch.ones_like(law.decay)
        if law.linear:
            left = torch.stack([law.decay ** (2 * law.parts * t) for t in range(share.shape[2])], 1)
            self._left = (share / total)[0].mul(left).sum(1)

    def __call__(self, m: Tensor) -> Tensor:
        return self._compiled(m) if self._compiled else self._after(m, self._law.decay)

    def _after(self, m: Tensor, decay: Tensor) -> Tensor:
        frames = [m]
        for part, growth in enumerate(self._growth, start=1):
            m = self._filtered((growth * m[0, :, 0]).sum(1)[None, :, None], decay)
            if part % self._law.parts == 0:
                frames.append(m)
        return torch.cat(frames, 2)

    def adjoint(self, frames: Tensor) -> Tensor:
        if self._compiled:
            return self._compiled.adjoint(frames)
        m = frames[:, :, -1:]
        for part in reversed(range(len(self._growth))):
            m = (self._growth[part] * self._filtered(m, self._law.decay)[0, :, None, 0]).sum(0)[None, :, None]
            if part % self._law.parts == 0:
                m = m + frames[:, :, part // self._law.parts, None]
        return m

    def inverse(self, m: Tensor) -> Tensor:
        """About (M^T M)^-1: exact for diffusion alone, and for one species that only reacts."""
        scaled = m / self._size
        return (self._filtered(scaled, 1 / self._left) if self._law.linear else scaled) / self._size

    def _filtered(self, m: Tensor, factor: Tensor) -> Tensor:
        modes = transform(m, [basis.mT for basis in self._law.bases])
        return transform(modes * factor[None, :, None], self._law.bases)


def solution(tangent: Tangent, slope: Tensor, free: Tensor, root: Tensor | float = 1.0) -> Tensor:
    """Of M^T W M x = -slope where x is free, 0 elsewhere; W = root^2."""
    x, left = torch.zeros_like(slope), -slope * free
    scaled = tangent.inverse(left) * free
    direction, square = scaled, float((left * scaled).sum())
    smallest = SOLVED * square
    for _ in range(INNER if isinstance(root, float) else INNER_WEIGHTED):
        if not square > smallest:
            break
        curved = tangent.adjoint(root**2 * tangent(direction)) * free
        curvature = float((direction * curved).sum())
        if not curvature > 0:
            break
        length = square / curvature
        x, left = x + length * direction, left - length * curved
        scaled = tangent.inverse(left) * free
        square, before = float((left * scaled).sum()), square
        direction = scaled + square / before * direction
    return x
