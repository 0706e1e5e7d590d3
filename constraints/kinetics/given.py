"""What `Kinetics` takes: values that are fixed or fitted, flows, injections and regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite, instance
from physgen.constraints.kinetics.unknown import Unknown
from physgen.errors import InvalidArgument

#: a number is fixed, (lowest, highest) is fitted
Given = float | int | Tensor | Sequence[float | int]
#: the same, read
Value = float | Tensor | Unknown


def read_value(name: str, got: Any, lowest: float = -math.inf, open_ended: bool = False) -> Value:
    """A fixed value or a fitted one, which may have no highest value where it is ``open_ended``.

    Raises:
        InvalidArgument: no finite number from ``lowest`` on, and no two that increase.

    >>> read_value("k", 0.7), read_value("k", (0.0, 2.0))
    (0.7, Unknown(low=0.0, high=2.0, size=1.0))
    """
    allowed = "a finite number (fixed) or (lowest, highest) (fitted)"
    allowed += f", at least {lowest:g}" if math.isfinite(lowest) else ""
    if isinstance(got, Sequence) and not isinstance(got, str):
        try:
            low, high = map(float, got)
        except (TypeError, ValueError):
            raise InvalidArgument(name, got, allowed) from None
        if not (lowest <= low < high and math.isfinite(low) and (math.isfinite(high) or open_ended)):
            raise InvalidArgument(name, got, allowed)
        return Unknown(low, high)
    value = finite(name, got.detach() if isinstance(got, Tensor) else got, allowed, lambda value: value >= lowest)
    return got if isinstance(got, Tensor) else value


def read_values(
    what: str,
    given: Mapping[str, Given] | None,
    names: Sequence[str],
    default: Given | None = None,
    lowest: float = -math.inf,
) -> list[Value]:
    """What is given, in the order of the names; those that are missing are the default, if there is one.

    Raises:
        InvalidArgument: as `read_value`; no mapping, a name that is unknown, or one that is missing without a default.

    >>> read_values("volumes", {"nucleus": 0.2}, ["cytoplasm", "nucleus"], default=1.0)
    [1.0, 0.2]
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InvalidArgument(what, given, f"a mapping from names of: {', '.join(names) or 'none'}")
    given = given if default is None else {**dict.fromkeys(names, default), **given}
    wrong = sorted(set(given) ^ set(names))
    if wrong:
        got = f"without {wrong[0]}" if wrong[0] in names else f"unknown {wrong[0]}"
        raise InvalidArgument(what, got, f"a value of each of: {', '.join(names) or 'none'}")
    return [read_value(name, given[name], lowest, open_ended=what == "initial") for name in names]


def read_flows(got: Sequence[Any], species: Sequence[str]) -> list[tuple[tuple[str, str], Value]]:
    """Pairs of species between which mass flows, and the rate of each.

    Raises:
        InvalidArgument: no list of triples, species that are unknown or the same, or a rate below 0.

    >>> read_flows([("a", "b", 0.5)], ["a", "b"])
    [(('a', 'b'), 0.5)]
    """
    flows = []
    for item in instance("exchange", got, Sequence, "a list of triples"):
        if not _is_triple(item) or item[0] == item[1] or item[0] not in species or item[1] not in species:
            raise InvalidArgument("exchange", item, f"(species, another species, rate) of {', '.join(species)}")
        a, b, rate = item
        flows.append(((a, b), read_value(f"exchange {a}, {b}", rate, lowest=0.0)))
    return flows


def read_boluses(got: Sequence[Any], species: Sequence[str]) -> list[tuple[float, str, float]]:
    """(time s, species, amount) of each injection.

    Raises:
        InvalidArgument: no list of triples, an unknown species, a time before 0, or an amount that is not finite.

    >>> read_boluses([("c", 2.0, 0.5)], ["c"])
    [(2.0, 'c', 0.5)]
    """
    allowed, boluses = f"(species, time >= 0 s, amount), species of {', '.join(species)}", []
    for item in instance("boluses", got, Sequence, "a list of triples"):
        if not _is_triple(item) or item[0] not in species:
            raise InvalidArgument("boluses", item, allowed)
        name, time, amount = item
        time = finite("boluses", time, allowed, lambda time: time >= 0)
        boluses.append((time, name, finite("boluses", amount, allowed)))
    return boluses


def read_regions(regions: Float[Tensor, "R *space"]) -> Float[Tensor, "R *space"]:
    """Weights of a mean over each region: they sum to 1, in float64.

    Raises:
        InvalidArgument: no tensor ``[R, *space]``, weights that are negative or not finite, or an empty region.

    >>> import torch
    >>> read_regions(torch.tensor([[1.0, 3.0]])).tolist()
    [[0.25, 0.75]]
    """
    if not isinstance(regions, Tensor) or regions.ndim < 2:
        raise InvalidArgument("regions", regions, "a tensor [R, *space] of weights >= 0")
    weights = regions.double()
    total = weights.flatten(1).sum(1)
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or not bool((total > 0).all()):
        raise InvalidArgument("regions", tuple(regions.shape), "[R, *space] of weights >= 0, none of them empty")
    return weights / total.view(-1, *[1] * (weights.ndim - 1))


def _is_triple(item: Any) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 3
