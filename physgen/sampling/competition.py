"""Particles inside a scheduler's step: its samples, model outputs and history change places, copies get new noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Bool
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Particles
from physgen.guidance.problem import Decode
from physgen.sampling.decoding.decoder import Decoder
from physgen.sampling.predictions import Prediction, prediction
from physgen.sampling.rows import LivingRows

#: schedulers that draw no noise and go from a x0 + b e to a' x0 + b' e, by what they keep nothing or can do without
_RENEWABLE = (
    diffusers.FlowMatchEulerDiscreteScheduler,
    diffusers.DDIMScheduler,
    diffusers.DDIMParallelScheduler,
    diffusers.CogVideoXDDIMScheduler,
    diffusers.EulerDiscreteScheduler,
    diffusers.EDMEulerScheduler,
    diffusers.UniPCMultistepScheduler,
    diffusers.DPMSolverMultistepScheduler,
    diffusers.DEISMultistepScheduler,
    diffusers.EDMDPMSolverMultistepScheduler,
)


def require_renewable(particles: Particles, scheduler: Any) -> None:
    """Refuse new noise in schedulers that draw it themselves, or whose steps belong together.

    Raises:
        InvalidArgument: naming those that take it.

    >>> require_renewable(Particles(2, lambda fields: fields[:, 0]), diffusers.CogVideoXDPMScheduler())
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: guidance='Particles with renoise=0.9': allowed: renoise=0, or ...
    """
    config = scheduler.config
    draws = config.get("stochastic_sampling") or str(config.get("algorithm_type")).startswith("sde")
    if particles.new_noise and (draws or not isinstance(scheduler, _RENEWABLE)):
        names = ", ".join(cls.__name__ for cls in _RENEWABLE)
        allowed = f"renoise=0, or a scheduler that draws no noise itself and can begin anew: {names}"
        raise InvalidArgument("guidance", f"Particles with renoise={particles.new_noise:g}", allowed)


@dataclass(frozen=True)
class NewNoise:
    """What copies lack after the step: the noise ``e`` of the batch before it, and which rows get another one.

    `part` is how many times its noise a sample has after the step, where a guidance inside adds noise of its own.
    """

    e: Tensor
    fresh: Bool[Tensor, "B"]
    part: float = 1.0


@dataclass
class Competition:
    """The particles of one pipeline call.

    Attributes:
        decode: from latents to fields, one sample at a time, for the memory of one.
        first: the latent frame that the network saw in the place of the scheduler's first one, where there is one.
        seats: of every row, the place of its generator in a list of them; None for its own.
    """

    particles: Particles
    decode: Decode | None
    grid: Grid | None
    living: LivingRows
    first: Tensor | None = None
    seats: list[int] | None = None

    def begin(self) -> None:
        """A new run: all rows live, each at its own place."""
        self.living.begin()
        self.seats = None

    def seat(self, arguments: dict[str, Any]) -> None:
        """In a step's arguments, every row gets the generator of the sample that it holds."""
        generators = arguments.get("generator")
        if self.seats is not None and isinstance(generators, list) and len(generators) == len(self.seats):
            arguments["generator"] = [generators[place] for place in self.seats]

    def _move_seats(self, order: list[int]) -> None:
        """The first row that holds a sample keeps its generator, the others have those that are left over."""
        seats = list(range(len(order))) if self.seats is None else self.seats
        left = iter([place for row, place in enumerate(seats) if row not in order])
        self.seats = [next(left) if old in order[:row] else seats[old] for row, old in enumerate(order)]

    def resample(
        self, position: tuple[int, int], at: Prediction, scheduler: Any, arguments: dict[str, Any], generator: Any
    ) -> NewNoise | None:
        """Put those that live on in the place of the others, in a step's arguments and in the scheduler's history."""
        sample, output = arguments["sample"], arguments["model_output"]
        x0 = at.x0(self.living.of(sample), self.living.of(output))
        one = generator[0] if isinstance(generator, list) else generator
        seen: dict[str, Any] = {"decode": self._decode, "grid": self.grid, "video": self._video}
        found = self.particles.offspring(x0, position=position, sigma=at.sigma, generator=one, **seen)
        if found is None:
            return None
        batch, groups = len(sample), len(sample) // self.particles.particles
        before = torch.arange(batch) if self.living.rows is None else self.living.rows
        self.living.keep(batch, groups, len(found.ancestors) // groups)
        order = self.living.whole(before[found.ancestors])
        self._move_seats(order.tolist())

        def reordered(value: Any) -> Any:
            if isinstance(value, list):
                return [reordered(one) for one in value]
            alike = isinstance(value, Tensor) and value.shape == sample.shape
            return value[order.to(value.device)] if alike else value

        for store in (arguments, vars(scheduler)):
            store.update({name: reordered(value) for name, value in store.items()})
        fresh = self.living.whole(found.fresh)
        if not self.particles.new_noise or not bool(fresh.any()):
            return None
        sample = arguments["sample"]
        return NewNoise((sample - at.a * at.x0(sample, arguments["model_output"])) / at.b, fresh)

    def renew(self, latents: Tensor, new: NewNoise, scheduler: Any, timestep: Any, generator: Any) -> Tensor:
        """The latents after the step with the copies' noise drawn anew; the scheduler forgets what contradicts it."""
        xi = randn_tensor(new.e.shape, generator=generator, device=new.e.device, dtype=new.e.dtype)
        change = self.particles.renewed(new.e, xi, new.fresh) - new.e
        if hasattr(scheduler, "lower_order_nums"):
            scheduler.lower_order_nums = 0
            scheduler.model_outputs = [None] * len(scheduler.model_outputs)
            if hasattr(scheduler, "last_sample"):
                scheduler.last_sample = None
        return latents + (new.part * prediction(scheduler, timestep).b * change).to(latents.dtype)

    def delivered(self, latents: Tensor) -> Tensor:
        """The finished latents that come out."""
        latents = self.living.of(latents)
        rows = self.particles.finish(latents, decode=self._decode, grid=self.grid, video=self._video)
        self.particles.log.evaluations = self.living.evaluations
        return latents[rows.to(latents.device)]

    @property
    def _decode(self) -> Decode | None:
        decode = self.decode
        return decode and (lambda latents: torch.cat([decode(self._seen(one)) for one in latents.split(1)]))

    @property
    def _video(self) -> Decode | None:
        decode = self.decode
        if not isinstance(decode, Decoder):
            return None
        return lambda latents: torch.cat([decode.video(self._seen(one)) for one in latents.split(1)])

    def _seen(self, latents: Tensor) -> Tensor:
        return latents if self.first is None else torch.cat([self.first.to(latents), latents[:, :, 1:]], 2)
