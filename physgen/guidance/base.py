"""What every guidance shares: when it acts, what it measures, and that it never destroys a sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from physgen.arguments import finite, floating, instance, interval, whole
from physgen.constraints import Constraint
from physgen.constraints.names import Laws, name_laws
from physgen.errors import InvalidArgument, ModelFailure, NoSolution
from physgen.grid import Grid
from physgen.guidance.problem import Decode, Problem
from physgen.guidance.running_fit import RunningFit
from physgen.guidance.solve.contradiction import require_consistent
from physgen.guidance.solve.forward_difference import Predict
from physgen.guidance.solve.gauss_newton import UNBOUNDED
from physgen.guidance.solve.network_product import network_product
from physgen.guidance.solve.projected_fields import ProjectedFields, project_samples
from physgen.guidance.step import Correction, Step, Update
from physgen.tensors import finite_samples, keep_finite, rms


class Guidance(ABC):
    """An algorithm that turns constraints into a corrected clean sample.

    Subclasses implement `update`. Constants that a constraint fits are fitted at every correction and averaged over the
    run, see `RunningFit`.

    Args:
        constraints: what the fields of the sample obey: laws by name, laws that have names of their own, or one law.
        start, stop: fractions of the schedule, counted in steps from the noise (0) to the video (1).
        every: every so many steps inside them are corrected, the last one always.
        steps: inner iterations.
        renoise: eta, the part of the noise of x0* that is drawn anew on the way to the next noise level. It narrows
            what is drawn: of a Gaussian the variance ends at (1 + sqrt(1 - eta)) / 2 of its own.
        terminal: whether the finished video is projected onto the constraints, see `project`.

    Attributes:
        constraints: by name.
        derivatives: through the decoder that `update` takes: 0, 1, or 2 (products with the Jacobian both ways).
        through_network: whether it multiplies with the network's Jacobian.
        jacobian: how, see `ThroughNetwork`.
        products: with that Jacobian in one correction, see `ThroughNetwork`.
        imposes: whether it has constraints: all but `Replacement`.
        recurrence: how often each noise level is visited; more than once only in `sample_flow`.
        particles: how many neighbours in a batch compete; more than one only in `Particles`.
        searches: whether it chooses the noise that a run starts from: only `NoiseSearch`.

    Raises:
        InvalidArgument: no constraints, two of one name, an empty or reversed window, fewer than one step, renoise
            outside [0, 1].
    """

    derivatives: int = 1
    through_network: ClassVar[bool] = False
    imposes: ClassVar[bool] = True
    searches: ClassVar[bool] = False
    jacobian: str = "backward"
    recurrence: int = 1
    particles: int = 1

    def __init__(
        self,
        constraints: Laws,
        *,
        start: float = 0.0,
        stop: float = 1.0,
        every: int = 1,
        steps: int = 1,
        renoise: float = 0.0,
        terminal: bool = False,
    ) -> None:
        self.constraints = name_laws(constraints) if self.imposes else {}
        window = "fractions of the schedule, 0 <= start < stop <= 1"
        self.start, self.stop = (finite("start, stop", fraction, window) for fraction in (start, stop))
        if not 0 <= start < stop <= 1:
            raise InvalidArgument("start, stop", (start, stop), window)
        self.every, self.steps = whole("every", every), whole("steps", steps)
        self.renoise = finite("renoise", renoise, "0 to 1", lambda eta: 0 <= eta <= 1)
        self.terminal = terminal
        self._fit, self._consistent = RunningFit(), False

    @property
    def parts(self) -> tuple[Guidance, ...]:
        """What it is composed of: itself, unless it is a `Composition`."""
        return (self,)

    @property
    def products(self) -> int:
        """Products with the network's Jacobian in one correction."""
        return 1 if self.through_network else 0

    def reset(self) -> None:
        """Forget what the last run left behind. Samplers call it before the first step of each."""
        self._fit, self._consistent = RunningFit(), False

    def follow(self, ancestors: Int64[Tensor, "B"]) -> None:
        """The samples of the batch are now those rows of it: what is remembered of a sample goes with it."""
        self._fit.follow(ancestors.tolist())

    @property
    def final(self) -> dict[str, Constraint]:
        """The constraints that a finished video is projected onto."""
        return self.constraints

    @property
    def needs_graph(self) -> bool:
        """Whether x0_hat must come with its graph from x_t."""
        return self.through_network and self.jacobian == "backward"

    def active(self, step: int, total: int) -> bool:
        """Whether step `step` (from 0) of `total` is corrected: at least one is, however short the schedule."""
        window = [i for i in range(total) if self.start <= i / total < self.stop]
        window = window or [math.ceil(self.stop * total) - 1]
        return step in window and (window[-1] - step) % self.every == 0

    def measures(self, position: tuple[int, int] | None) -> bool:
        """Whether it needs the fields at this step: always, but for a `Replacement`."""
        return True

    def settled(self, x0: Float[Tensor, "B *shape"], position: tuple[int, int] | None) -> Float[Tensor, "B *shape"]:
        """The sample with what is known of it in its place: as it is, but for a `Replacement`."""
        return x0

    def correct(
        self,
        x0_hat: Float[Tensor, "B *shape"],
        *,
        x_t: Float[Tensor, "B *shape"],
        sigma: float | Float[Tensor, ""],
        decode: Decode | None = None,
        grid: Grid | None = None,
        position: tuple[int, int] | None = None,
        predict: Predict | None = None,
    ) -> Float[Tensor, "B *shape"]:
        """The corrected clean sample: `correction` without the measurements."""
        return self.correction(
            x0_hat, x_t=x_t, sigma=sigma, decode=decode, grid=grid, position=position, predict=predict
        ).x0

    def correction(
        self,
        x0_hat: Float[Tensor, "B *shape"],
        *,
        x_t: Float[Tensor, "B *shape"],
        sigma: float | Float[Tensor, ""],
        decode: Decode | None = None,
        grid: Grid | None = None,
        position: tuple[int, int] | None = None,
        predict: Predict | None = None,
        known: Float[Tensor, "#B *shape"] | None = None,
        precision: torch.dtype | None = None,
    ) -> Correction:
        """Correct the estimate `x0_hat = x_t - sigma v` of the clean sample, each sample of the batch by itself.

        `sigma` in [0, 1] is the flow-matching noise level. `decode` maps samples to fields [B, S, T, *space]; without
        it the constraints act on the sample itself. Works in float32 or better and under `no_grad`, `inference_mode`
        and `autocast`; only the sample gets gradients, never the parameters of `decode`. `position` is the number of
        the step, from 0, and of all of them; without it everything acts that has a window. `predict` maps x_t to x0_hat
        at this noise level, for a guidance with ``jacobian="forward"``. `known` is what the sampler itself has put in
        place of parts of the clean sample, NaN elsewhere: it is decoded with the rest, and not moved. `precision`
        is that of the network's arithmetic, where it is not that of `x0_hat`.

        Raises:
            InvalidArgument: a `sigma` that is not one number in [0, 1], an `x0_hat` that is not floating point, an
                `x_t` of another shape, `decode` not returning one field per sample, or, for a guidance
                `through_network`, an `x0_hat` without a graph from `x_t`, or no `predict`.
            ModelFailure: an `x0_hat` of which no sample is finite.
            Contradiction: at the first correction of a `terminal` guidance, equalities that cannot hold together.
        """
        sigma = finite("sigma", sigma, "one noise level in [0, 1] for the whole batch", lambda level: 0 <= level <= 1)
        x0_hat = floating("x0_hat", x0_hat, "samples [B, ...]")
        self._require_usable(x0_hat, x_t, predict)

        def settled(z: Tensor) -> Tensor:
            z = self.settled(z, position)
            return z if known is None else torch.where(known.isnan(), z, known.to(z))

        def seen(z: Tensor) -> Tensor:
            assert decode is not None
            return decode(settled(z))

        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x0_hat.device.type, enabled=False):
            x0 = x0_hat.detach().to(torch.promote_types(x0_hat.dtype, torch.float32), copy=True)
            update = Update(x0, {})
            if self.measures(position):
                problem = self.problem(grid, seen if callable(decode) else decode)
                if self.terminal and not self._consistent:
                    require_consistent(Problem(self.final, decode, grid), x0)
                    self._consistent = True
                z, fields = self.decoded(problem, x0)
                problem = self._fit.hold(problem, fields.detach())
                again = None if self.needs_graph else predict
                network_vjp = partial(
                    network_product, x0_hat=x0_hat, x_t=x_t, sigma=sigma, predict=again, precision=precision
                )
                noisy = x_t.detach().to(x0.dtype)
                update = self.update(Step(z, fields, noisy, sigma, problem, network_vjp, position))
            x0_star, dropped = keep_finite(update.x0.detach(), x0)
            x0_star = settled(x0_star)
        norm = rms((x0_star - x0).nan_to_num())
        return Correction(x0_star.to(x0_hat.dtype), update.residuals, norm, update.dropped + dropped, update.cosines)

    def _require_usable(self, x0_hat: Tensor, x_t: Tensor, predict: Predict | None) -> None:
        """Refuse an estimate that is not of `x_t`, or without the derivative that `update` takes."""
        if x0_hat.ndim < 1 or not isinstance(x_t, Tensor) or x_t.shape != x0_hat.shape:
            raise InvalidArgument("x_t", x_t, f"the noisy samples [B, ...] of x0_hat, {list(x0_hat.shape)}")
        if not bool(finite_samples(x0_hat.detach()).any()):
            raise ModelFailure("x0_hat is NaN or infinite in every sample: the model's prediction is not finite")
        if self.needs_graph and not (x0_hat.requires_grad and x_t.requires_grad):
            raise InvalidArgument("x0_hat", "no graph", "x0_hat computed from x_t, both with requires_grad")
        if self.through_network and not self.needs_graph and predict is None:
            raise InvalidArgument("predict", None, 'a function of x_t that gives x0_hat, for jacobian="forward"')

    def decoded(self, problem: Problem, x0: Float[Tensor, "B *shape"]) -> tuple[Tensor, Tensor]:
        """The sample as a leaf, and the fields that the constraints see of it, with the graph that `update` needs."""
        z = x0.detach().requires_grad_(self.derivatives > 0)
        # fused attention has no second derivative
        with sdpa_kernel(SDPBackend.MATH) if self.derivatives > 1 else nullcontext():
            return z, problem.fields(z)

    @abstractmethod
    def update(self, step: Step) -> Update:
        """The update rule."""

    def problem(self, grid: Grid | None = None, decode: Decode | None = None) -> Problem:
        """Its constraints on the fields of `decode`."""
        return Problem(self.constraints, decode, grid)

    def project(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> Float[Tensor, "B *shape"]:
        """Fields that satisfy the constraints, near those given, see `feasible`; samples that are not finite stay.

        Raises:
            Contradiction: equalities that no sample can satisfy together.
            NoSolution: a finite sample near which nothing satisfies the constraints; `projection` gives the others.
        """
        projected = self.projection(floating("fields", fields, "[B, S, T, *space]"), grid, bounds)
        if projected.contradiction:
            raise projected.contradiction
        without = (finite_samples(fields) & ~finite_samples(projected.fields)).nonzero()[:, 0].tolist()
        if without:
            raise NoSolution(
                f"samples {without}",
                f"nothing near them satisfies {', '.join(self.final)}",
                "fewer or other laws",
            )
        return projected.fields

    def projection(
        self,
        fields: Float[Tensor, "B *shape"],
        grid: Grid | None = None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> ProjectedFields:
        """`project`, and the constants that were fitted to the fields, once, and that the result obeys.

        Samples that nothing suits are NaN, and where no sample is left, `ProjectedFields.contradiction` says why.
        """
        bounds = interval("bounds", bounds)
        laws = {name: law.within(bounds) for name, law in self.final.items()}
        return project_samples(Problem(laws, grid=grid), fields, bounds)

    def citation(self) -> str:
        """BibTeX of the works to cite; empty where there are none."""
        return ""


def read_guidance(guidance: Any) -> Guidance:
    """The guidance, once it is one: a law says what holds, not how a sample gets there.

    >>> read_guidance("mass")
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: guidance='mass': allowed: a Guidance, Projection(laws) for one
    """
    return instance("guidance", guidance, Guidance, "a Guidance, Projection(laws) for one")
