"""What every constraint is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid


class Constraint(ABC):
    """A differentiable statement about fields.

    equality: residual = 0;  inequality: residual <= 0

    Attributes:
        name: what configs and reports call it.
        kind: ``equality`` or ``inequality``.
        parameters: ``fixed``, or ``fitted`` to the fields at every call.
        noise_floor: norm of the residual that true data have, which guidance leaves alone.
        projects: whether `project` makes fields satisfy it exactly.

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
    noise_floor: float = 0.0
    projects: ClassVar[bool] = False
    parameters: Literal["fixed", "fitted"] = "fixed"

    @abstractmethod
    def residual(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B ..."]:
        """Dimensionless violation of fields ``[B, S, T, *space]``, differentiable."""

    def loss(self, fields: Float[Tensor, "B *shape"], grid: Grid | None) -> Float[Tensor, "B"]:
        """Half the squared norm of the residual (of its positive part, for an inequality), per sample."""
        residual = self.residual(fields, grid).reshape(len(fields), -1)
        if self.kind == "inequality":
            residual = residual.clamp(min=0)
        return residual.square().sum(1) / 2

    def satisfied(self, fields: Float[Tensor, "B *shape"], grid: Grid | None, tolerance: float) -> Bool[Tensor, "B"]:
        """Which samples hold it: no residual (no positive one, for an inequality) above the tolerance.

        A constraint whose residual is not zero where it holds says here what holding means.
        """
        residual = self.residual(fields, grid).detach().reshape(len(fields), -1)
        return (residual if self.kind == "inequality" else residual.abs()).amax(1) <= tolerance

    def project(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> Float[Tensor, "B S T *space"]:
        """Nearest fields that satisfy the constraint, where `projects` says that they can be found.

        Raises:
            NoSolution: there are none near a sample of the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form projection")

    def fixed(self, values: Mapping[str, Any]) -> Constraint:
        """The constraint with its fitted parameters fixed to values as `estimate` returns them, by name."""
        return self

    def estimate(self, fields: Float[Tensor, "B S T *space"], grid: Grid | None) -> dict[str, float | list]:
        """Values of the fitted parameters, nothing when all are fixed."""
        return {}


def check_fields(fields: Tensor, grid: Grid | None, frames: int = 2, finite: bool = True) -> Grid:
    """The grid, once ``fields`` is floating point ``[B, S, T, *space]`` on it, finite, with at least ``frames`` frames.

    A caller whose own sums show NaN and Inf spares itself the pass over the values with ``finite=False``.

    Raises:
        InvalidArgument: no grid, another rank than the grid's, too few frames, NaN or Inf.

    >>> import torch
    >>> check_fields(torch.zeros(1, 1, 5, 4), Grid(spacing=(1.0, 1.0), dt=1.0))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: fields='torch.float32 (1, 1, 5, 4)': allowed: ... [B, S, T, H, W]...
    """
    if grid is None:
        raise InvalidArgument("grid", grid, "a Grid: spacing, dt and boundary")
    space = ("X", "H, W", "Z, H, W")[len(grid.spacing) - 1]
    wrong_rank = fields.ndim != 3 + len(grid.spacing)
    if wrong_rank or not fields.is_floating_point() or fields.shape[2] < frames or 0 in fields.shape:
        allowed = f"floating point [B, S, T, {space}] on this grid, at least {frames} frames"
        raise InvalidArgument("fields", f"{fields.dtype} {tuple(fields.shape)}", allowed)
    if finite and not bool(fields.detach().isfinite().all()):
        raise InvalidArgument("fields", "NaN or Inf", "finite values")
    return grid
