"""What a guidance corrects a sample for: constraints, seen through a decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid

Decode = Callable[[Tensor], Tensor]


def finite_samples(x: Float[Tensor, "B *shape"]) -> Bool[Tensor, "B"]:
    """Which samples of a batch hold neither NaN nor infinity."""
    return torch.isfinite(x).flatten(1).all(1)


def of_samples(values: Shaped[Tensor, "B"], x: Float[Tensor, "B *shape"]) -> Tensor:
    """One value of each sample, against the samples."""
    return values.view(-1, *[1] * (x.ndim - 1))


def rms(x: Tensor) -> float:
    """Root mean square over all elements, NaN for none."""
    return float(x.detach().double().square().mean().sqrt())


def named(constraints: Sequence[Constraint]) -> dict[str, Constraint]:
    """Constraints by name, numbered where several have the same."""
    names = [constraint.name for constraint in constraints]
    return {
        name if names.count(name) == 1 else f"{name}_{i}": constraint
        for i, (name, constraint) in enumerate(zip(names, constraints, strict=True))
    }


@dataclass(frozen=True)
class Problem:
    """Named constraints on the fields ``[B, S, T, *space]`` that `decode` makes of samples ``[B, ...]``.

    Without `decode` the constraints act on the samples. Samples whose fields are not finite, or that a constraint
    has `NoSolution` for, have NaN for a residual.
    `constants` are those that `settled` fixed; `cosines` those between the directions of descent of pairs of
    constraints, the first that `newton.Norms` found for this problem and what is derived of it.
    """

    constraints: Mapping[str, Constraint]
    decode: Decode | None = None
    grid: Grid | None = None
    constants: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)

    def fields(self, x: Float[Tensor, "B *shape"]) -> Tensor:
        """The fields that the constraints act on.

        Raises:
            InvalidArgument: `decode` returned something else than floating-point fields [B, S, T, *space].
        """
        if self.decode is None:
            return x
        fields = self.decode(x)
        if fields.ndim < 3 or len(fields) != len(x) or not fields.is_floating_point():
            got = f"{fields.dtype}{list(fields.shape)}"
            raise InvalidArgument("decode", got, f"floating-point fields [{len(x)}, S, T, *space]")
        return fields

    def residuals(self, fields: Tensor) -> dict[str, Float[Tensor, "B M"]]:
        """Residual of every constraint, flattened; of an inequality its signed value."""
        return self._of_finite(fields, lambda c, usable: c.residual(usable, self.grid).reshape(len(usable), -1))

    def losses(self, fields: Tensor) -> dict[str, Float[Tensor, "B 1"]]:
        """Loss of every constraint."""
        return self._of_finite(fields, lambda c, usable: c.loss(usable, self.grid)[:, None])

    def distances(self, fields: Tensor) -> dict[str, Float[Tensor, "B M"]]:
        """(fields - P) / rms(P), P the fields of each constraint's projection, detached."""

        def distance(constraint: Constraint, usable: Tensor) -> Tensor:
            nearest = constraint.project(usable.detach(), self.grid)
            size = nearest.flatten(1).square().mean(1).sqrt()
            return ((usable - nearest) / of_samples(torch.where(size > 0, size, 1), usable)).flatten(1)

        return self._of_finite(fields, distance)

    def _of_finite(self, fields: Tensor, measure: Callable[[Constraint, Tensor], Tensor]) -> dict[str, Tensor]:
        finite = finite_samples(fields)
        if finite.all():
            return {name: _measured(measure, constraint, fields) for name, constraint in self.constraints.items()}
        if not finite.any():
            return {name: fields.new_full((len(fields), 1), math.nan) for name in self.constraints}
        found = {name: _measured(measure, constraint, fields[finite]) for name, constraint in self.constraints.items()}
        return {
            name: torch.full((len(fields), part.shape[1]), math.nan, dtype=part.dtype, device=part.device).index_put(
                (finite.nonzero()[:, 0],), part
            )
            for name, part in found.items()
        }

    def violated(self, fields: Tensor) -> dict[str, Float[Tensor, "B M"]]:
        """|h| of every equality, max(g, 0) of every inequality."""
        return {
            name: residual.clamp(min=0) if self.constraints[name].kind == "inequality" else residual.abs()
            for name, residual in self.residuals(fields).items()
        }

    def violations(self, fields: Tensor) -> dict[str, float]:
        """RMS residual of every constraint, dimensionless, over the samples that can be measured (NaN for none)."""
        return {name: rms(part[finite_samples(part)]) for name, part in self.violated(fields).items()}

    def satisfied(self, fields: Tensor, tolerance: float) -> bool:
        """Whether every sample that is finite holds every constraint."""
        usable = fields[finite_samples(fields)]
        return not len(usable) or all(
            bool(constraint.satisfied(usable, self.grid, tolerance).all()) for constraint in self.constraints.values()
        )

    @property
    def fitted(self) -> list[str]:
        """Constraints with constants that are fitted to the fields and can be fixed."""
        return [
            name
            for name, constraint in self.constraints.items()
            if constraint.parameters == "fitted" and type(constraint).fixed is not Constraint.fixed
        ]

    def settled(self, fields: Tensor) -> Problem:
        """The problem with these constants fitted to fields, which are finite, and fixed."""
        constants = {name: self.constraints[name].estimate(fields, self.grid) for name in self.fitted}
        fixed = {name: self.constraints[name].fixed(values) for name, values in constants.items()}
        return replace(self, constraints={**self.constraints, **fixed}, constants=constants)

    def only(self, names: Sequence[str]) -> Problem:
        """The problem of some of the constraints."""
        return replace(self, constraints={name: self.constraints[name] for name in names})


def _measured(measure: Callable[[Constraint, Tensor], Tensor], constraint: Constraint, fields: Tensor) -> Tensor:
    """Each sample by itself, NaN where it has no solution, where that is so for one of them."""
    try:
        return measure(constraint, fields)
    except NoSolution:
        if len(fields) == 1:
            return fields.new_full((1, 1), math.nan)
    parts = [_measured(measure, constraint, sample) for sample in fields.split(1)]
    width = max(part.shape[1] for part in parts)
    return torch.cat([part.expand(1, width) for part in parts])
