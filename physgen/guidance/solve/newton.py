"""Steps on the clean sample towards the constraints, as long as the residuals themselves say."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.guidance.problem import Problem, rms_of
from physgen.tensors import finite_samples, of_samples

#: relative ridge of the system of several constraints: keeps the step short where they pull against each other
RIDGE = 1e-3


def uncertainty(sigma: float) -> float:
    """Uncertainty r = sigma / sqrt(sigma^2 + (1 - sigma)^2), the sd of x0 given x_t, for samples of unit variance.

    >>> uncertainty(0.5)
    0.7071067811865475
    """
    return sigma / math.hypot(sigma, 1 - sigma)


def limited(move: Float[Tensor, "B *shape"], limit: float) -> Float[Tensor, "B *shape"]:
    """The move, shortened where its RMS is above the limit, each sample by itself."""
    size = move.flatten(1).square().mean(1).sqrt()
    return of_samples(torch.where(size > limit, limit / size, 1), move) * move


class Norms:
    """Norms rho_i = ||r_i|| of the residuals at a point and their gradients, one backward pass per constraint.

    Args:
        problem: the constraints.
        x: the point; with `fields`, a leaf.
        fields: of it, with their graph, which is used up; they are decoded where None.

    Attributes:
        excess: rho_i less the constraint's own noise floor, at least 0, ``[B, K]``.
        gradients: of rho_i, a list of K ``[B, ...]``; 0 where nothing exceeds the floor.
        rms: RMS residual of each constraint.
        cosines: mean cosine of each pair of gradients, over the samples where neither is 0 or NaN.

    Raises:
        InvalidArgument: fields that do not depend differentiably on the samples.
    """

    def __init__(self, problem: Problem, x: Float[Tensor, "B *shape"], fields: Tensor | None = None) -> None:
        z = x if fields is not None else x.detach().requires_grad_()
        fields = problem.fields(z) if fields is None else fields
        violations, floors = problem.violation(fields), problem.floors(fields)
        self.rms = rms_of(violations)
        excess, self.gradients = [], []
        for left, (name, violation) in zip(reversed(range(len(violations))), violations.items(), strict=True):
            loss = violation.loss
            if not loss.requires_grad and bool(loss.isfinite().any()):
                raise InvalidArgument("decode", problem.decode, "differentiable maps from samples to fields")
            norm = (2 * loss.detach()).sqrt().to(x.dtype)
            above = (norm - floors[name].to(norm)).clamp(min=0)
            excess.append(above)
            if not loss.requires_grad:
                self.gradients.append(torch.full_like(x, math.nan))
                continue
            (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=left > 0)
            self.gradients.append(gradient * of_samples(torch.where(above == 0, 0, 1 / norm), x))
        self.excess = torch.stack(excess, 1)
        self.cosines = self._cosines(list(violations))

    def _cosines(self, names: list[str]) -> dict[str, float]:
        directions = [F.normalize(gradient.flatten(1).double()) for gradient in self.gradients]
        moving = [gradient.flatten(1).any(1) & finite_samples(gradient) for gradient in self.gradients]
        pairs = {
            f"{names[i]}, {names[j]}": (directions[i] * directions[j]).sum(1)[moving[i] & moving[j]]
            for i, j in itertools.combinations(range(len(names)), 2)
        }
        return {pair: float(cosines.mean()) for pair, cosines in pairs.items() if len(cosines)}

    def step(self) -> Float[Tensor, "B *shape"]:
        """The shortest step at whose end, to first order, no norm exceeds its floor; NaN where there is none.

        d = -sum_i a_i grad rho_i,  sum_j <grad rho_i, grad rho_j> a_j = excess_i
        """
        rows = torch.stack([gradient.flatten(1) for gradient in self.gradients], 1)
        products = rows @ rows.mT
        diagonal = products.diagonal(dim1=1, dim2=2)
        idle = self.excess == 0
        scale = torch.where(idle, 1.0, diagonal)
        ridge = torch.diag_embed(torch.where(idle, 1.0, RIDGE * (len(self.gradients) > 1) * scale))
        usable = products.isfinite().all(2).all(1) & self.excess.isfinite().all(1) & ~(~idle & (diagonal == 0)).any(1)
        system = torch.where(usable[:, None, None], products + ridge, torch.eye(rows.shape[1]).to(rows))
        weights = torch.linalg.solve(system, self.excess.nan_to_num())
        move = -(weights[:, None] @ rows)[:, 0].view_as(self.gradients[0])
        return torch.where(of_samples(usable, move), move, math.nan)


def newton_steps(
    problem: Problem, x0: Float[Tensor, "B *shape"], fields: Tensor | None = None, *, steps: int, limit: float
) -> tuple[Tensor, Norms]:
    """Newton steps towards rho_i = floor_i for all constraints at once; and the norms at `x0`.

    One decode per step, the first of which is `fields` where they are given, see `Norms`, and one backward pass per
    constraint. The whole move has an RMS of at most `limit`. A sample comes back NaN where its fields, loss or step are
    not finite, which includes a violated constraint without a gradient.

    >>> from physgen.constraints import Equality
    >>> problem = Problem({"sum": Equality(lambda x: x.sum(1) - 1.0), "first": Equality(lambda x: x[:, 0])})
    >>> newton_steps(problem, torch.ones(1, 3), steps=3, limit=1.0)[0].round(decimals=3).abs().tolist()
    [[0.0, 0.5, 0.5]]
    """
    first = norms = Norms(problem, x0, fields)
    start = x0.detach()
    z = start + limited(norms.step(), limit)
    for _ in range(steps - 1):
        norms = Norms(problem, z)
        z = start + limited(z + norms.step() - start, limit)
    return z.detach(), first
