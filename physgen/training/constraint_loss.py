"""Constraints as a differentiable loss on the clean samples that a model in training predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints.names import Laws, name_laws
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance.problem import Decode, Problem
from physgen.tensors import finite_samples, of_samples

MEASURES = ("residual", "distance")


def explained(sigma: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """(1 - sigma)^2 / (sigma^2 + (1 - sigma)^2): the part of the variance of x0 that x_t tells, for unit variance.

    >>> explained(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    return (1 - sigma).square() / (sigma.square() + (1 - sigma).square())


class ConstraintLoss:
    """What x0_hat violates, weighted by what it says about x0 at its noise level, beyond what the data violate.

    L[b] = w(sigma_b) sum_i 1/2 max(0, rho_i[b] - floor_i)^2
    rho_i = rms(h_i(decode(x0_hat)))  or, measured as ``distance``,  rms(f - P_i f) / rms(P_i f),  f = decode(x0_hat)

    x0_hat is a posterior mean. Where h(x0) = 0 for the data, h(E x0) = -1/2 tr(h'' Cov[x0 | x_t]) + ...: nothing for a
    linear law, but for any other a violation that belongs to a perfect model and grows with the noise. The weight takes
    that out: `explained` falls to 0 with it; ``torch.ones_like`` keeps all levels, for linear laws (mass). A batch
    without weight is not decoded. The gradient of ``distance`` is exact, that of half the squared distance to the
    fields that hold the law being f - P f; it leaves noise that a residual's derivatives would amplify. Samples that
    are not finite, that no solution is near, or whose gradient is not finite, cost nothing and are counted.

    Args:
        constraints: what the fields of the sample obey.
        measure: ``residual``, or ``distance`` for constraints that project.
        weight: of noise levels ``[B]`` in [0, 1], each >= 0.
        floors: by name of the constraint, the rho that costs nothing: that of the data as decoded, see `violations`.

    Attributes:
        skipped: samples that were left out so far because they, or their gradients, were not finite.

    Raises:
        InvalidArgument: no constraints, an unknown measure, one that does not project measured by its distance, floors
            of other names or below 0.

    Source: Bastek, Sun and Kochmann, arXiv:2403.14404 (residuals of a mean estimate, the gap); Zhang et al.,
        arXiv:2505.22391.

    >>> from physgen.constraints import MassConservation
    >>> x0_hat = torch.tensor([1.0, 0.8]).view(1, 1, 2, 1, 1).expand(2, 1, 2, 4, 4).clone().requires_grad_()
    >>> loss = ConstraintLoss([MassConservation(initial_mass=16.0)], floors={"mass": 0.1})
    >>> per_sample = loss(x0_hat, torch.tensor([0.0, 0.5]), grid=Grid(spacing=(1.0, 1.0), dt=1.0))
    >>> per_sample.sum().backward()
    >>> [round(value, 6) for value in per_sample.tolist()], loss.skipped
    ([0.000858, 0.000429], 0)
    """

    def __init__(
        self,
        constraints: Laws,
        *,
        measure: str = "residual",
        weight: Callable[[Tensor], Tensor] = explained,
        floors: Mapping[str, float] | None = None,
    ) -> None:
        if measure not in MEASURES:
            raise InvalidArgument("measure", measure, ", ".join(MEASURES))
        self.constraints = name_laws(constraints)
        if measure == "distance":
            for name, constraint in self.constraints.items():
                if not constraint.projects:
                    raise InvalidArgument("measure", measure, f"residual: {name} has no projection")
        self.measure, self.weight, self.floors = measure, weight, dict.fromkeys(self.constraints, 0.0)
        for name, floor in (floors or {}).items():
            if name not in self.constraints:
                raise InvalidArgument("floors", name, ", ".join(self.constraints))
            self.floors[name] = finite(f"floors.{name}", floor, "a finite number >= 0", lambda value: value >= 0)
        self.skipped = 0

    def __call__(
        self,
        x0_hat: Float[Tensor, "B *shape"],
        sigma: Tensor | float,
        *,
        decode: Decode | None = None,
        grid: Grid | None = None,
    ) -> Float[Tensor, "B"]:
        """Loss per sample, at least float32, with a graph to ``x0_hat``; parameters of ``decode`` should be frozen.

        Args:
            x0_hat: predicted clean samples, such as x_t - sigma v; `physgen.training.noised.noised` for others.
            sigma: flow-matching noise level in [0, 1], of each sample or of all.
            decode: from samples ``[n, ...]`` to fields ``[n, S, T, *space]``; None where samples are fields. It gets
                all samples of the batch.
            grid: of the fields.

        Raises:
            InvalidArgument: noise levels outside [0, 1] or not one per sample, weights below 0, and what the
                constraints raise.
        """
        weights = self._weights(sigma, x0_hat)
        dtype = torch.promote_types(x0_hat.dtype, torch.float32)
        wanted = weights > 0
        if not bool(wanted.any()):
            return 0 * x0_hat[:0].sum().to(dtype) + weights.to(dtype)
        finite = finite_samples(x0_hat.detach())
        with torch.autocast(x0_hat.device.type, enabled=False):
            x0 = torch.where(of_samples(finite & wanted, x0_hat), x0_hat, 0).to(dtype)
            rho = self.violations(x0, decode=decode, grid=grid)
            losses = torch.stack([(rho[name] - self.floors[name]).clamp(min=0).square() / 2 for name in rho]).sum(0)
        usable = finite & wanted & losses.detach().isfinite()
        self.skipped += int((wanted & ~usable).sum())
        if x0.requires_grad:
            x0.register_hook(lambda gradient: self._keep_finite(gradient, usable))
        return weights.to(losses.dtype) * torch.where(usable, losses, 0)

    def violations(
        self, x0: Float[Tensor, "B *shape"], *, decode: Decode | None = None, grid: Grid | None = None
    ) -> dict[str, Float[Tensor, "B"]]:
        """Violation rho of each constraint and sample, differentiable, NaN where it cannot be measured.

        The median over clean samples is a floor that leaves alone what the decoder alone does:

        >>> from physgen.constraints import MassConservation
        >>> clean, grid = torch.rand(3, 1, 2, 4, 4), Grid(spacing=(1.0, 1.0), dt=1.0)
        >>> rho = ConstraintLoss([MassConservation()]).violations(clean, grid=grid)
        >>> loss = ConstraintLoss([MassConservation()], floors={name: float(v.nanmedian()) for name, v in rho.items()})
        >>> int((loss(clean, 0.0, grid=grid) > 0).sum())
        1
        """
        problem = Problem(self.constraints, decode, grid)
        fields = problem.fields(x0)
        parts = problem.distances(fields) if self.measure == "distance" else problem.violated(fields)
        return {
            name: part.square().mean(1).clamp(min=torch.finfo(part.dtype).tiny).sqrt() for name, part in parts.items()
        }

    def _weights(self, sigma: Tensor | float, x0_hat: Tensor) -> Tensor:
        levels = torch.as_tensor(sigma, device=x0_hat.device).detach().flatten()
        if levels.numel() not in (1, len(x0_hat)) or not bool(((levels >= 0) & (levels <= 1)).all()):
            raise InvalidArgument("sigma", levels.tolist(), f"one noise level in [0, 1], or {len(x0_hat)} of them")
        weights = self.weight(levels.expand(len(x0_hat)).to(torch.promote_types(levels.dtype, torch.float32)))
        if weights.shape != (len(x0_hat),) or not bool(((weights >= 0) & weights.isfinite()).all()):
            raise InvalidArgument("weight", weights.tolist(), f"{len(x0_hat)} finite numbers >= 0")
        return weights

    def _keep_finite(self, gradient: Tensor, usable: Tensor) -> Tensor:
        """The gradient, 0 for samples where it is not finite; those of them that were usable are counted."""
        finite = finite_samples(gradient)
        self.skipped += int((usable & ~finite).sum())
        return torch.where(of_samples(finite, gradient), gradient, 0)
