"""Whether what was observed can be a video that its laws allow: what no sample needs to be drawn for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, MassConservation, Observed, ReactionDiffusion
from physgen.errors import InvalidArgument
from physgen.grid import CLOSED, Grid

#: standard deviations beyond which noise explains nothing, and part of an amount that clipping and rounding may change
MOST, PART = 6.0, 0.05


def require_possible(seen: Observed, laws: Mapping[str, Constraint], grid: Grid) -> None:
    """Refuse frames that were seen whole and whose amounts differ by more than their noise, where a law keeps them.

    z = |m(t) - m(t')| / sqrt(noise^2(t) + noise^2(t')),  m(t) = sum_x c(t, x) over each frame seen whole

    Noise of different pixels is taken as independent. A picture that is clipped at black gains a little: amounts within
    5 % of each other are never refused. A law of reaction and diffusion is looked at where it has no
    reactions; what a trajectory of it is off by is known only once the nearest one is found, after sampling.

    Raises:
        InvalidArgument: naming the law, the frames and z, where z is above 6 and amounts are further apart.
    """
    if seen.hard or grid.boundary not in CLOSED:
        return
    for name, law in laws.items():
        if keeps_amounts(law):
            species = law.species if isinstance(law, MassConservation) else None
            _require_equal(name, *(amounts if species is None else amounts[species] for amounts in _amounts(seen)))


def keeps_amounts(law: Constraint) -> bool:
    """Whether a law says that nothing is made, lost, let in or out, or bleached."""
    if isinstance(law, ReactionDiffusion):
        return not any(rate != 0 for rate in law.system.rates)
    return isinstance(law, MassConservation) and law.closed


def _amounts(seen: Observed) -> tuple[Float[Tensor, "S T"], Float[Tensor, "S T"]]:
    """Amounts of frames, NaN where not every pixel was seen, and their variances."""
    values = seen.values[0].double()
    noise = torch.zeros_like(values)
    noise[seen.mask] = seen.noise.double()
    whole = seen.mask.flatten(2).all(2)
    return torch.where(whole, values.flatten(2).sum(2), torch.nan), noise.flatten(2).square().sum(2)


def _require_equal(name: str, amounts: Float[Tensor, "S T"], variances: Float[Tensor, "S T"]) -> None:
    apart = (amounts[:, :, None] - amounts[:, None]).abs() / (variances[:, :, None] + variances[:, None]).sqrt()
    larger = torch.maximum(amounts[:, :, None].abs(), amounts[:, None].abs())
    far = (amounts[:, :, None] - amounts[:, None]).abs() > PART * larger
    worst = torch.where(far, apart, 0.0).nan_to_num(0.0, 0.0, 0.0)
    if float(worst.max()) <= MOST:
        return
    species, first, last = (int(i) for i in torch.unravel_index(worst.argmax(), worst.shape))
    change = float(amounts[species, last] / amounts[species, first] - 1)
    raise InvalidArgument(
        "observed",
        f"amounts of frames {first} and {last} that differ by {100 * change:+.3g} %, "
        f"{float(worst.max()):.3g} standard deviations of the noise",
        f"frames that `{name}` allows, within {MOST:g}; or a larger observed.noise, or without `{name}`",
    )
