"""What every constraint is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from physgen.arguments import finite, finite_tensor, floating, instance
from physgen.constraints.fit import Fit
from physgen.errors import InvalidArgument
from physgen.grid import Grid


@dataclass(frozen=True)
class Violation:
    """How much fields violate a constraint, as one evaluation of its residual says.

    Attributes:
        loss: half the squared norm of the residual ``[B]``, with its graph.
        entries: of the residual of one sample.
    """

    loss: Float[Tensor, "B"]
    entries: int

    @property
    def rms(self) -> Float[Tensor, "B"]:
        """Root mean square of the residual, detached."""
        return (2 * self.loss.detach() / self.entries).sqrt()


class Constraint(ABC):
    """A differentiable statement about fields.

    equality: residual = 0;  inequality: residual <= 0

    Attributes:
        name: what configs and reports call it, where it is given no other name.
        kind: ``equality`` or ``inequality``.
        fitted: names of the constants that are fitted to the fields at every call.
        holds: whether a guidance fits them once at each correction and holds them there, averaged over the run.
        noise_floor: norm of the residual that true data have, which guidance leaves alone.
        true_within: tolerance that `satisfied` needs for true videos, where a measurement's own may be too small.
        tolerates: whether it holds where its residual is below a tolerance; else `satisfied` alone says so.
        projects: whether `project` makes fields satisfy it exactly.
        needs_constant_dt: whether it means nothing where frames are not one interval apart.
        needs_amounts: whether it is about amounts or things that are seen, which latents of an autoencoder are not.

    Source: the contract of this package.

    >>> import torch
    >>> class Dark(Constraint):
    ...     name, kind = "dark", "inequality"
    ...     def residual(self, fields, grid):
    ...         return fields - 0.5
    >>> Dark().loss(torch.tensor([[[0.2, 1.5]]]), None).tolist()
    [0.5]
    """

    name: str
    kind: ClassVar[Literal["equality", "inequality"]] = "equality"
    fitted: tuple[str, ...] = ()
    holds: ClassVar[bool] = False
    noise_floor: float = 0.0
    projects: bool = False
    true_within: ClassVar[float | None] = None
    tolerates: bool = True
    needs_constant_dt: bool = True
    needs_amounts: ClassVar[bool] = False

    def floor(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Float[Tensor, "B"]:
        """`noise_floor`, of each sample. A constraint whose floor depends on what it is given says so here."""
        return torch.full((len(fields),), self.noise_floor, dtype=torch.float64, device=fields.device)

    @abstractmethod
    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B ..."]:
        """Dimensionless violation of fields ``[B, S, T, *space]``, differentiable."""

    def loss(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Float[Tensor, "B"]:
        """Half the squared norm of the residual (of its positive part, for an inequality), per sample."""
        return self.violation(fields, grid).loss

    def violation(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Violation:
        """The loss, and how many entries the residual has. A law with a fused loss computes it here."""
        residual = self.residual(fields, grid).reshape(len(fields), -1)
        if self.kind == "inequality":
            residual = residual.clamp(min=0)
        return Violation(residual.square().sum(1) / 2, residual.shape[1])

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples hold it: no residual (no positive one, for an inequality) above the tolerance.

        A constraint whose residual is not zero where it holds says here what holding means.
        """
        tolerance = finite("tolerance", tolerance, "a number >= 0", lambda value: value >= 0)
        residual = self.residual(fields, grid).detach().reshape(len(fields), -1)
        return (residual if self.kind == "inequality" else residual.abs()).amax(1) <= tolerance

    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """Nearest fields that satisfy the constraint, where `projects` says that they can be found.

        Raises:
            NoSolution: there are none near a sample of the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form projection")

    def fit(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Fit:
        """The constants in `fitted`, of each sample; nothing where none are fitted."""
        return Fit()

    def with_constants(self, constants: Fit | Mapping[str, Any]) -> Constraint:
        """The constraint with the constants that it fits given, as `fit` returns them or by name, one of each sample.

        Names of no fitted constant are ignored.

        Raises:
            InvalidArgument: a fitted constant without values, and values that cannot be.
        """
        return self

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Constraint:
        """The constraint on these samples of a batch alone. One that knows something of each sample says here what."""
        return self

    def within(self, bounds: tuple[float, float]) -> Constraint:
        """The constraint on fields whose values lie within bounds: those that a video can show."""
        return self

    def describe(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> dict[str, Any]:
        """What it reads off the fields besides constants, as JSON has it."""
        return {}


def given_values(constants: Fit | Mapping[str, Any], fitted: tuple[str, ...]) -> dict[str, Float64[Tensor, "..."]]:
    """The values of fitted constants, all of which must be there, on the CPU.

    Raises:
        InvalidArgument: naming the one that is not, or that has values which are no numbers.

    >>> given_values({"D": [1.0]}, ("D", "r"))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: constants='without r': allowed: a list of values of each of D, r
    """
    allowed = f"a list of values of each of {', '.join(fitted)}"
    values = constants.values if isinstance(constants, Fit) else instance("constants", constants, Mapping, allowed)
    for name in fitted:
        if name not in values:
            raise InvalidArgument("constants", f"without {name}", allowed)
    return {name: finite_tensor(name, values[name], "finite numbers, of each sample").cpu() for name in fitted}


def values_of(name: str, values: Shaped[Tensor, "_ *shape"], chosen: Bool[Tensor, "B"]) -> Shaped[Tensor, "_ *shape"]:
    """What belongs to the chosen samples of a batch, of ``values`` of each of its samples.

    Raises:
        InvalidArgument: values of another number of samples.

    >>> values_of("period", torch.tensor([0.5, 0.8]), torch.tensor([False, True])).tolist()
    [0.8000...]
    """
    if len(values) != len(chosen):
        raise InvalidArgument(name, f"{len(values)} values", f"one of each sample, {len(chosen)}")
    return values[chosen.to(values.device)]


def check_fields(fields: Tensor, grid: Grid | None, frames: int = 2, finite: bool = True) -> Grid:
    """The grid, once ``fields`` is floating point ``[B, S, T, *space]`` on it, finite, with at least ``frames`` frames.

    A caller whose own sums show NaN and Inf spares itself the pass over the values with ``finite=False``.

    Raises:
        InvalidArgument: no grid, another rank than the grid's, too few frames, NaN or Inf; inside `torch.autocast`,
            whose half precision loses what laws measure.

    >>> import torch
    >>> check_fields(torch.zeros(1, 1, 5, 4), Grid(spacing=(1.0, 1.0), dt=1.0))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: fields=torch.float32 (1, 1, 5, 4): allowed: ... [B, S, T, H, W]...
    """
    grid = instance("grid", grid, Grid, "a Grid: spacing, dt and boundary")
    fields = floating("fields", fields, "[B, S, T, *space]")
    device = fields.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        raise InvalidArgument(
            "autocast", "on", "laws outside torch.autocast, or inside torch.autocast(…, enabled=False)"
        )
    space = ("X", "H, W", "Z, H, W")[len(grid.spacing) - 1]
    wrong_rank = fields.ndim != 3 + len(grid.spacing)
    if wrong_rank or fields.shape[2] < frames or 0 in fields.shape:
        allowed = f"floating point [B, S, T, {space}] on this grid, at least {frames} frames"
        raise InvalidArgument("fields", fields, allowed)
    if finite and not bool(fields.detach().isfinite().all()):
        raise InvalidArgument("fields", "NaN or Inf", "finite values")
    return grid
