"""Model, law and observation joined: guidance keeps to what was seen, and the law has the last word on the rest."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.arguments import finite
from physgen.constraints import Constraint, Observed, ReactionDiffusion
from physgen.constraints.fit import Fit
from physgen.constraints.names import Laws
from physgen.dynamics.spectral import laplacian_modes, transform
from physgen.ensemble import local_spread
from physgen.errors import InvalidArgument, NoSolution
from physgen.grid import Grid
from physgen.guidance.problem import Decode, Problem
from physgen.guidance.solve.gauss_newton import UNBOUNDED
from physgen.guidance.solve.projected_fields import ProjectedFields
from physgen.guidance.through_network.dps import DPS
from physgen.tensors import finite_samples

Law = TypeVar("Law", bound=Constraint)

#: what stands for the noise of an observation without noise, and the least spread, in units of its RMS
EXACT, LEAST = 0.01, 0.01
#: error of a sample in units of the spread of an ensemble
INFLATED = 3.0
#: pixels over which the errors of a sample are alike, and the part of them that is not
ALIKE, ROUGH = 4.0, 0.05


class Assimilation(DPS):
    """The trajectory of a law that is nearest to what was observed and, weakly, to what the model made of the rest.

    on the way:  the step of `DPS` towards the observation
    at the end:  argmin over first frame and constants of
                 sum_seen |Phi - values|^2 / noise^2 + w sum |Phi - x0|^2 / spread^2

    where x0 is the guided sample, the background of a weather forecast, and spread what it is off by. The law alone
    does not know what the observation leaves open (where a colony is, that no frame shows); the model does, but its
    motion obeys no law. Of noisy values counts what Wiener's filter leaves of their difference from the sample. The
    filter takes what was not seen for no difference: right for whole frames, nearly so for half of one, and too rough
    for scattered points with noise (0.09 of error where 0.04 is possible, 5 % of the pixels seen).

    Args:
        constraints: one `Observed`, of the fields themselves (without a reading), and one `ReactionDiffusion`, whose
            constants are given or fitted.
        spread: standard deviation of the sample's own error, in units of the RMS of the observed values, or of each
            value ``[S, T, H, W]`` in the unit of the fields; an ensemble shows it, see `members`. A sample that is
            further off what was observed than noise explains counts as that far off everywhere.
        weight: w, less than 1 because a sample's errors are alike from one pixel to the next.
        renoise: see `Guidance`. Much new noise lets a sample that started wrong change its mind.
        jacobian: see `ThroughNetwork`.
        knobs: see `Guidance`.

    Raises:
        InvalidArgument: see `Guidance`; an observation with a reading, other laws, a spread or weight that is
            not positive.

    Source: background term: Courtier, Thepaut and Hollingsworth (1994), Q. J. R. Meteorol. Soc. 120:1367.

    >>> grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    >>> values = torch.rand(1, 3, 8, 8, generator=torch.manual_seed(0))
    >>> heat = ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")
    >>> joined = Assimilation([Observed(values), heat])
    >>> fields = joined.projection(values[None], grid).fields
    >>> bool(heat.with_constants(heat.fit(fields.double(), grid)).residual(fields, grid).abs().max() < 1e-3)
    True
    """

    def __init__(
        self,
        constraints: Laws,
        *,
        spread: float | int | Tensor = 0.05,
        weight: float | int = 2.5e-3,
        renoise: float | int = 0.9,
        jacobian: str = "backward",
        **knobs: Any,
    ) -> None:
        super().__init__(constraints, renoise=renoise, jacobian=jacobian, terminal=True, **knobs)
        self.observed_name, self.seen = self._only(Observed)
        self.law_name, self.law = self._only(ReactionDiffusion)
        if len(self.constraints) != 2:
            raise InvalidArgument("constraints", ", ".join(self.constraints), "one Observed and one ReactionDiffusion")
        if self.seen.reading is not None:
            raise InvalidArgument("constraints", "a reading", "an observation of the fields themselves")
        self.weight = finite("weight", weight, "a finite number > 0", lambda value: value > 0)
        self.spread = self._read_spread(spread)
        self.more_noise = torch.zeros(())

    def _read_spread(self, spread: float | int | Tensor) -> Tensor:
        shape = self.seen.values.shape[1:]
        if not isinstance(spread, Tensor):
            size = self.seen.values[:, self.seen.mask].square().mean().sqrt()
            part = finite("spread", spread, "a finite number > 0", lambda value: value > 0)
            return part * torch.where(size > 0, size, 1.0).expand(shape)
        if spread.shape != shape or not bool((spread.isfinite() & (spread > 0)).all()):
            raise InvalidArgument("spread", list(spread.shape), f"finite values > 0 of the shape {list(shape)}")
        return spread

    def members(self, fields: Float[Tensor, "M S T H W"], generator: torch.Generator) -> tuple[Assimilation, ...]:
        """One for each sample of an ensemble, so that joined samples differ by as much as they may be off.

        values_i = values + noise (z_i - mean z) sqrt(M / (M - 1)),  z normal

        They know what a sample is off by: three times the standard deviation of all, for samples agree more than they
        are right; averaged over 5 frames and 9 x 9 pixels, and at least a hundredth of the RMS of the observed values,
        for a few agree by chance. Samples that are all drawn to the same noisy values share what these are off by. So
        each is drawn to values with more noise of their own, which the mean of all hardly knows of. Where the
        observation is hard there is none.

        Raises:
            InvalidArgument: fewer than two samples.

        Source: perturbed observations, Burgers, van Leeuwen and Evensen (1998), Mon. Weather Rev. 126:1719.
        """
        if len(fields) < 2:
            raise InvalidArgument("fields", f"{len(fields)} samples", "an ensemble of two or more")
        spread = (INFLATED * local_spread(fields)).clamp(min=float(self._read_spread(LEAST).flatten()[0]))
        drawn = torch.randn(len(fields), *self.seen.noise.shape, generator=generator, dtype=torch.float64)
        drawn = (drawn - drawn.mean(0)) * math.sqrt(len(fields) / (len(fields) - 1))
        return tuple(self._member(index, spread, one) for index, one in enumerate(drawn))

    def _member(self, index: int, spread: Tensor, drawn: Tensor) -> Assimilation:
        found = copy.copy(self)
        found.seen = copy.copy(self.seen)
        found.seen.values = self.seen.values[index % len(self.seen.values)][None]
        found.spread, found.more_noise = spread, torch.zeros(self.seen.mask.shape, dtype=drawn.dtype)
        found.more_noise[self.seen.mask.to(drawn.device)] = self.seen.noise.to(drawn) * drawn
        return found

    def _only(self, kind: type[Law]) -> tuple[str, Law]:
        found = [(name, law) for name, law in self.constraints.items() if isinstance(law, kind)]
        if len(found) != 1:
            raise InvalidArgument("constraints", ", ".join(self.constraints), "one Observed and one ReactionDiffusion")
        return found[0]

    @property
    def on_the_way(self) -> Assimilation:
        """The same without its end: the finished video keeps to the observation, and to no law."""
        found = copy.copy(self)
        found.terminal = False
        return found

    @property
    def final(self) -> dict[str, Constraint]:
        return {self.law_name: self.law}

    def problem(self, grid: Grid | None = None, decode: Decode | None = None) -> Problem:
        """On the way the observation alone: the law is neither fitted nor imposed before the end."""
        return Problem({self.observed_name: self.seen}, decode, grid)

    def projection(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> ProjectedFields:
        """The joined fields of each sample, NaN where there are none, and the law with the constants found."""
        self.seen.residual(fields)  # refuses another shape
        samples = torch.eye(len(fields), dtype=torch.bool)
        found, problems = fields.clone(), [Problem(self.final, grid=grid).keep_samples(one) for one in samples]
        for i in finite_samples(fields).nonzero()[:, 0].tolist():
            try:
                law = self.law.keep_samples(samples[i])
                joined, constants = law.nearest(*self._joined(fields[i : i + 1].double(), i), grid, bounds)
                problems[i] = problems[i].holding({self.law_name: Fit(constants)})
                found[i] = joined[0].to(fields.dtype)
            except NoSolution:
                found[i] = math.nan
        return ProjectedFields(found, tuple(problems))

    def _joined(self, background: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """The sample, with what was observed where it was, and the weight of each value, the largest 1.

        Noisy values may be out of the fields' bounds: cut off there, their noise would not have a mean of 0.
        """
        seen = self.seen.values[index % len(self.seen.values)].to(background)[None]
        mask, spread = self.seen.mask.to(background.device), self.spread.to(background)
        noise = torch.full_like(background, math.inf)
        exact = EXACT * self._read_spread(1.0).to(background)[mask]
        noise[:, mask] = exact if self.seen.hard else self.seen.noise.to(background)
        off = torch.where(mask, seen - background, 0.0)
        unexplained = off[:, mask].square().mean() - (0.0 if self.seen.hard else noise[:, mask].square().mean())
        spread = spread.maximum(unexplained.clamp(min=0).sqrt())
        weight = noise**-2 + self.weight * spread**-2
        if not self.seen.hard:
            off = off + self.more_noise.to(background)
            off = _without_noise(off, float(_mean_square(self.seen.noise)), float(_mean_square(spread)))
        return torch.where(mask, background + off, background), weight / weight.max()


def _without_noise(off: Float[Tensor, "1 S T *space"], noise: float, error: float) -> Float[Tensor, "1 S T *space"]:
    """What a sample is off by, of its difference from noisy values: Wiener's filter of every frame.

    S / (S + noise) of each mode,  S = error ((2 pi l^2)^(d/2) exp(- k^2 l^2 / 2) + 0.05)

    for errors that are alike over l pixels, but for a small part.

    ``noise`` and ``error`` are variances.

    Source: optimal interpolation, Gandin (1963), Objective Analysis of Meteorological Fields.
    """
    space = off.shape[3:]
    eigenvalues, bases = laplacian_modes(space, Grid(spacing=(1.0,) * len(space), dt=1.0), 2)
    smooth = (2 * math.pi * ALIKE**2) ** (len(space) / 2) * (ALIKE**2 / 2 * eigenvalues).exp()
    power = error * (smooth + ROUGH)
    gain, bases = (power / (power + noise)).to(off), [basis.to(off) for basis in bases]
    return transform(transform(off, [basis.mT for basis in bases]) * gain, bases)


def _mean_square(values: Tensor) -> Tensor:
    return values.square().mean()
