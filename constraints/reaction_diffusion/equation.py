"""A reaction-diffusion equation and the way it is discretised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from physgen.arguments import finite, whole
from physgen.dynamics.crank_nicolson import CrankNicolson
from physgen.dynamics.flow_map import SCHEMES, FlowMap
from physgen.equations.reaction_system import ReactionSystem
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.stencil import SECOND_DERIVATIVE

#: diffusivity of each species and value of each parameter, of one sample
Values = tuple[dict[str, float], dict[str, float]]
#: a number, or one of each species
OfSpecies = float | int | Mapping[str, float | int]

FORMS = ("differential", "flow_map")


@dataclass(frozen=True)
class Equation:
    """Everything about `ReactionDiffusion` but its constants; arguments are as there.

    >>> from physgen.equations import reaction_system
    >>> Equation.of(reaction_system("diffusion"), order=4).wall
    {'c': 0.0}
    """

    system: ReactionSystem
    form: str
    order: int
    wall: dict[str, float]
    scheme: str
    substeps: int | None
    scale: dict[str, float] | None
    absent: float | None

    @classmethod
    def of(
        cls,
        system: ReactionSystem,
        *,
        form: str = "differential",
        order: int = 2,
        wall: OfSpecies | None = None,
        scheme: str = "exponential",
        substeps: int | None = None,
        scale: OfSpecies | None = None,
        absent: float | int | None = None,
    ) -> Equation:
        """The equation, once its settings are checked.

        Raises:
            InvalidArgument: see `ReactionDiffusion`.
        """
        for name, got, choices in (
            ("form", form, FORMS),
            ("order", order, tuple(SECOND_DERIVATIVE)),
            ("scheme", scheme, SCHEMES),
        ):
            if got not in choices:
                raise InvalidArgument(name, got, ", ".join(map(str, choices)))
        substeps = None if substeps is None else whole("substeps", substeps)
        walls = _of_species(system, "wall", wall or 0.0, lambda value: True)
        scales = None if scale is None else _of_species(system, "scale", scale, lambda value: value > 0)
        nothing = None if absent is None else finite("absent", absent, "None or a finite number")
        return cls(system, form, order, walls, scheme, substeps, scales, nothing)

    def flow(self, constants: Values, grid: Grid) -> FlowMap:
        """The flow map from frame to frame."""
        return FlowMap(self.system, *constants, grid, order=self.order, wall=self.wall, scheme=self.scheme)

    def implicit_step(self, constants: Values, grid: Grid, tolerance: float = 0.0) -> CrankNicolson:
        """The Crank-Nicolson step from frame to frame, whose residual is zero."""
        return CrankNicolson(self.system, *constants, grid, order=self.order, wall=self.wall, tolerance=tolerance)

    def walls(self, fields: Tensor) -> Tensor:
        """Value of each species at the walls, against fields ``[B, S, T, *space]``."""
        return fields.new_tensor(list(self.wall.values())).view(-1, *[1] * (fields.ndim - 2))

    def fixed_scale(self, fields: Tensor) -> Tensor | None:
        """The scale that was given, of each sample and species ``[B, S]``."""
        if self.scale is None:
            return None
        return fields.new_tensor(list(self.scale.values())).expand(fields.shape[:2])


def of_batch(constants: Sequence[Values]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values of each sample as one tensor ``[B]`` of each name."""
    diffusivity, parameters = (
        {name: torch.tensor([sample[part][name] for sample in constants], dtype=torch.float64) for name in first}
        for part, first in enumerate(constants[0])
    )
    return diffusivity, parameters


def _of_species(
    system: ReactionSystem, name: str, given: OfSpecies, accept: Callable[[float], bool]
) -> dict[str, float]:
    positive = ", > 0" if name == "scale" else ""
    allowed = f"a number, or one of each species, {', '.join(system.species)}{positive}"
    values = given if isinstance(given, Mapping) else dict.fromkeys(system.species, given)
    if set(values) != set(system.species):
        raise InvalidArgument(name, dict(values), allowed)
    return {species: finite(name, values[species], allowed, accept) for species in system.species}
