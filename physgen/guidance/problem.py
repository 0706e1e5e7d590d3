"""What a guidance corrects a sample for: constraints, seen through a decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.arguments import floating, function
from physgen.constraints import Constraint
from physgen.constraints.base import Violation
from physgen.constraints.fit import Fit
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.tensors import finite_samples, of_samples, rms

Decode = Callable[[Tensor], Tensor]
#: from the name of a constraint, the constraint and fields to what is measured of each sample
Measure = Callable[[str, Constraint, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """Named constraints on the fields ``[B, S, T, *space]`` that `decode` makes of samples ``[B, ...]``.

    Without `decode` the constraints act on the samples. Samples whose fields are not finite, or that a constraint
    has `NoSolution` for, have NaN for a residual. `fits` are those of constants that `hold` holds.
    """

    constraints: Mapping[str, Constraint]
    decode: Decode | None = None
    grid: Grid | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict)

    def fields(self, x: Float[Tensor, "B *shape"]) -> Tensor:
        """The fields that the constraints act on.

        Raises:
            InvalidArgument: `decode` returned something else than floating-point fields [B, S, T, *space].
        """
        if self.decode is None:
            return x
        allowed = f"fields [{len(x)}, S, T, *space]"
        fields = floating("decode", function("decode", self.decode, f"a function to {allowed}")(x), allowed)
        if fields.ndim < 3 or len(fields) != len(x):
            raise InvalidArgument("decode", fields, f"floating point {allowed}")
        return fields

    def residuals(self, fields: Tensor) -> dict[str, Float[Tensor, "B M"]]:
        """Residual of every constraint, flattened; of an inequality its signed value."""
        return self._of_finite(fields, lambda _, law, usable: law.residual(usable, self.grid).reshape(len(usable), -1))

    def violation(self, fields: Tensor) -> dict[str, Violation]:
        """Loss of every constraint and the size of its residual, by one evaluation of each."""
        entries: dict[str, int] = {}

        def loss(name: str, constraint: Constraint, usable: Tensor) -> Tensor:
            found = constraint.violation(usable, self.grid)
            entries[name] = found.entries
            return found.loss[:, None]

        losses = self._of_finite(fields, loss)
        return {name: Violation(part[:, 0], entries.get(name, 1)) for name, part in losses.items()}

    def floors(self, fields: Tensor) -> dict[str, Float[Tensor, "B"]]:
        """Norm of each residual that true fields as noisy as these have, see `Constraint.floor`."""
        found = self._of_finite(fields.detach(), lambda _, law, seen: law.floor(seen, self.grid).to(fields)[:, None])
        return {name: floor[:, 0] for name, floor in found.items()}

    def distances(self, fields: Tensor) -> dict[str, Float[Tensor, "B M"]]:
        """(fields - P) / rms(P), P the fields of each constraint's projection, detached."""

        def distance(_: str, constraint: Constraint, usable: Tensor) -> Tensor:
            nearest = constraint.project(usable.detach(), self.grid)
            size = nearest.flatten(1).square().mean(1).sqrt()
            return ((usable - nearest) / of_samples(torch.where(size > 0, size, 1), usable)).flatten(1)

        return self._of_finite(fields, distance)

    def _of_finite(self, fields: Tensor, measure: Measure) -> dict[str, Tensor]:
        finite = finite_samples(fields)
        if finite.all():
            return {name: _measured(partial(measure, name), law, fields) for name, law in self.constraints.items()}
        if not finite.any():
            return {name: fields.new_full((len(fields), 1), math.nan) for name in self.constraints}
        usable, laws = fields[finite], self.keep_samples(finite).constraints
        found = {name: _measured(partial(measure, name), law, usable) for name, law in laws.items()}
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
        return rms_of(self.violation(fields))

    def satisfied(self, fields: Tensor, tolerance: float) -> bool:
        """Whether every sample that is finite holds every constraint."""
        finite = finite_samples(fields)
        usable, laws = fields[finite], self.keep_samples(finite).constraints.values()
        return not len(usable) or all(bool(law.satisfied(usable, self.grid, tolerance).all()) for law in laws)

    @property
    def held(self) -> list[str]:
        """Constraints whose constants are fitted once and held, see `Constraint.holds`."""
        return [name for name, constraint in self.constraints.items() if constraint.fitted and constraint.holds]

    def hold(self, fields: Tensor) -> Problem:
        """The problem with these constants fitted to fields, which are finite, and held."""
        return self.holding({name: self.constraints[name].fit(fields, self.grid) for name in self.held})

    def holding(self, fits: Mapping[str, Fit]) -> Problem:
        """The problem with constants of constraints given."""
        given = {name: self.constraints[name].with_constants(fit) for name, fit in fits.items()}
        return replace(self, constraints={**self.constraints, **given}, fits={**self.fits, **fits})

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Problem:
        """The problem of these samples of a batch; what was fitted stays in its laws, and `fits` are left out."""
        kept = {name: constraint.keep_samples(chosen) for name, constraint in self.constraints.items()}
        return replace(self, constraints=kept, fits={})

    def only(self, names: Sequence[str]) -> Problem:
        """The problem of some of the constraints."""
        return replace(self, constraints={name: self.constraints[name] for name in names})


def rms_of(violations: Mapping[str, Violation]) -> dict[str, float]:
    """RMS residuals over the samples that can be measured, NaN for none.

    >>> rms_of({"sum": Violation(torch.tensor([2.0, torch.nan]), 1)})
    {'sum': 2.0}
    """
    found = {name: violation.rms.double() for name, violation in violations.items()}
    return {name: rms(part[part.isfinite()]) for name, part in found.items()}


def _measured(measure: Callable[[Constraint, Tensor], Tensor], constraint: Constraint, fields: Tensor) -> Tensor:
    """Each sample by itself, NaN where it has no solution, where that is so for one of them."""
    try:
        return measure(constraint, fields)
    except NoSolution:
        if len(fields) == 1:
            return fields.new_full((1, 1), math.nan)
    samples = torch.eye(len(fields), dtype=torch.bool)
    parts = [_measured(measure, constraint.keep_samples(one), fields[one]) for one in samples]
    width = max(part.shape[1] for part in parts)
    return torch.cat([part.expand(1, width) for part in parts])
