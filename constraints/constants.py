"""Diffusivities and reaction parameters of a system: given or fitted."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from physgen.arguments import finite_tensor, instance
from physgen.constraints.base import values_of
from physgen.equations.reaction_system import Bounds, ReactionSystem, Value
from physgen.equations.systems import reaction_system
from physgen.errors import InvalidArgument


class Constants:
    """All constants of a reaction-diffusion equation by name, each given or fitted.

    Fitted ones are named as the parameters, and ``D_SPECIES`` for diffusivities (also ``D``, where there is one
    species). One that is fitted can be given too, as the value to start from.

    Args:
        system: reactions.
        diffusivity: D of each species that is not fitted, µm²/s.
        parameters: value of each parameter that is not fitted.
        fitted: a name, names, or a mapping from names to (lowest, highest) value. Diffusivities are never negative, and
            parameters never outside the bounds of the system.

    Raises:
        InvalidArgument: a value that is missing, unknown, out of bounds or not finite, or bounds that are not ordered.

    >>> heat = ReactionSystem(["c"], [], ["0"])
    >>> constants = Constants(heat, {}, {}, ["D"])
    >>> constants.bounds, constants.complete({"D_c": 3.0})
    ({'D_c': (0.0, inf)}, ({'c': 3.0}, {}))
    """

    def __init__(
        self,
        system: ReactionSystem,
        diffusivity: Mapping[str, Value],
        parameters: Mapping[str, Value],
        fitted: str | Sequence[str] | Mapping[str, Sequence[float | int]],
    ) -> None:
        for what, values in (("diffusivity", diffusivity), ("parameters", parameters)):
            if not isinstance(values, Mapping):
                raise InvalidArgument(what, values, "a mapping from names to values")
        self.system = system
        self.diffusing = {f"D_{species}": species for species in system.species}
        self._widest = {**dict.fromkeys(self.diffusing, (0.0, math.inf)), **system.bounds}
        fitted = [fitted] if isinstance(fitted, str) else fitted
        if not isinstance(fitted, Sequence | Mapping):
            raise InvalidArgument("fitted", fitted, f"names of {', '.join(self._widest)}, or a mapping to bounds")
        self.bounds = {self._canonical(name): self._narrowed(self._canonical(name), fitted, name) for name in fitted}
        self._given = {**self._diffusivities(diffusivity), **parameters}
        self._check()

    @property
    def start(self) -> dict[str, Value]:
        """Fitted constants that were given too."""
        return {name: self._given[name] for name in self.bounds if name in self._given}

    def complete(self, fitted: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
        """Diffusivity of every species and value of every parameter, of which those of ``bounds`` are ``fitted``.

        The values given must be numbers: see `of_sample`.
        """
        values = {**self._given, **fitted}
        diffusivity = {species: float(values[name]) for name, species in self.diffusing.items()}
        return diffusivity, {name: float(values[name]) for name in self.system.parameters}

    def of_sample(self, index: int, batch: int) -> Constants:
        """The constants as plain numbers, of one sample of ``batch``.

        Raises:
            InvalidArgument: a value that is neither a number nor one per sample.
        """
        given = {}
        for name, value in self._given.items():
            if isinstance(value, Tensor) and value.shape not in ((), (1,), (batch,)):
                raise InvalidArgument(name, f"{list(value.shape)} values", f"a number, or one per sample, [{batch}]")
            given[name] = float(value.expand(batch)[index]) if isinstance(value, Tensor) else float(value)
        diffusivity = {species: given[name] for name, species in self.diffusing.items() if name in given}
        parameters = {name: given[name] for name in self.system.parameters if name in given}
        return Constants(self.system, diffusivity, parameters, self.bounds)

    def given(self, values: Mapping[str, Any]) -> Constants:
        """The constants with what was fitted given, one value per sample of each name.

        Raises:
            InvalidArgument: values that cannot be.

        >>> heat = Constants(ReactionSystem(["c"], [], ["0"]), {}, {}, ["D"])
        >>> heat.given({"D_c": [3.0, 4.0]}).of_sample(1, 2).complete({})
        ({'c': 4.0}, {})
        """
        given = self._given | {
            name: finite_tensor(name, value, "finite numbers, one of each sample") for name, value in values.items()
        }
        diffusivity = {species: given[name] for name, species in self.diffusing.items()}
        return Constants(self.system, diffusivity, {name: given[name] for name in self.system.parameters}, ())

    def keep_samples(self, chosen: Bool[Tensor, "B"]) -> Constants:
        """The constants of these samples of a batch.

        >>> import torch
        >>> heat = Constants(ReactionSystem(["c"], [], ["0"]), {"c": torch.tensor([3.0, 4.0])}, {}, ())
        >>> heat.keep_samples(torch.tensor([False, True])).of_sample(0, 1).complete({})
        ({'c': 4.0}, {})
        """
        found = copy.copy(self)
        found._given = {
            name: values_of(name, value, chosen) if isinstance(value, Tensor) and value.numel() > 1 else value
            for name, value in self._given.items()
        }
        return found

    def canonical(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values under the names of `bounds`, those of no constant left out."""
        instance("constants", values, Mapping, "a mapping from names to values")
        return {self._canonical(name): value for name, value in values.items() if name in {*self._widest, "D"}}

    def _canonical(self, name: str) -> str:
        if name == "D" and len(self.diffusing) == 1 and name not in self.system.parameters:
            return next(iter(self.diffusing))
        if name not in self._widest:
            raise InvalidArgument("fitted", name, f"names of {', '.join(self._widest)}")
        return name

    def _narrowed(self, name: str, fitted: Sequence[str] | Mapping[str, Sequence[float | int]], key: str) -> Bounds:
        low, high = self._widest[name]
        if not isinstance(fitted, Mapping):
            return low, high
        try:
            lowest, highest = map(float, fitted[key])
        except (TypeError, ValueError):
            lowest, highest = math.nan, math.nan
        if not lowest < highest or not max(low, lowest) < min(high, highest):
            allowed = f"bounds (lowest, highest) that a value fits between, within {low:g} to {high:g}"
            raise InvalidArgument("fitted", {key: fitted[key]}, allowed)
        return max(low, lowest), min(high, highest)

    def _diffusivities(self, diffusivity: Mapping[str, Value]) -> dict[str, Value]:
        unknown = [name for name in diffusivity if name not in self.system.species]
        if unknown:
            raise InvalidArgument("diffusivity", f"unknown {unknown[0]}", f"species: {', '.join(self.system.species)}")
        return {f"D_{species}": value for species, value in diffusivity.items()}

    def _check(self) -> None:
        missing = [species for name, species in self.diffusing.items() if name not in {**self._given, **self.bounds}]
        if missing:
            allowed = "a value of each species that is not fitted, µm²/s"
            raise InvalidArgument("diffusivity", f"without {missing[0]}", allowed)
        for name, species in self.diffusing.items():
            numbers = _numbers(self._given.get(name, 0.0))
            if not all(isinstance(x, float | int) and math.isfinite(x) and x >= 0 for x in numbers):
                raise InvalidArgument("diffusivity", {species: self._given[name]}, "finite numbers >= 0, µm²/s")
        parameters = {name: value for name, value in self._given.items() if name not in self.diffusing}
        inside = {name: max(low, min(high, 1.0)) for name, (low, high) in self.bounds.items()}
        self.system.values({**{n: x for n, x in inside.items() if n not in self.diffusing}, **parameters})


def read_system(given: str | ReactionSystem | Mapping[str, Any]) -> ReactionSystem:
    """A system, from the name of a shipped one or the arguments of a `ReactionSystem` by name.

    Raises:
        InvalidArgument: an unknown name, or whatever else is no system.

    >>> read_system({"species": ["c"], "parameters": ["k"], "rates": ["-k*c"]})
    ReactionSystem(['c'], ['k'], ['-c*k'])
    """
    if isinstance(given, ReactionSystem):
        return given
    if isinstance(given, str):
        return reaction_system(given)
    if not isinstance(given, Mapping) or set(given) != {"species", "parameters", "rates"}:
        got = list(given) if isinstance(given, Mapping) else given
        raise InvalidArgument("system", got, "a name, a ReactionSystem, or species, parameters and rates")
    return ReactionSystem(**given)


def _numbers(value: Value) -> list[float | int]:
    return value.detach().flatten().tolist() if isinstance(value, Tensor) else [value]
