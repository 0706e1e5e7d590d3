"""Constraints in any units, and fields that they can be applied to: what the laws of all constraints are tried on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Continuity,
    Count,
    Kinetics,
    MassConservation,
    Periodic,
    Permanence,
    PhaseOrder,
    Progression,
    ReactionDiffusion,
    ReactionSystem,
    Static,
    Transport,
)
from physgen.grid import Grid

SHAPE = (3, 2, 5, 6, 7)
GRID = Grid(spacing=(2.0, 0.5), dt=0.25)


@dataclass(frozen=True)
class Case:
    """A constraint in given units of concentration, length and time, and fields that it can be applied to.

    ``rounding`` is the residual that rounding of a projection to float32 may make. ``shown`` fields have a bright
    object in their noise, for laws that noise alone does not satisfy; ``flowing`` ones are waves that drift. ``single``
    is the relative difference of a gradient in float32: that of a search ends earlier.
    """

    name: str
    build: Callable[[float, float, float], Constraint]
    low: float = -0.2
    high: float = 1.2
    rounding: float = 1e-6
    shown: bool = False
    flowing: bool = False
    single: float = 1e-4

    def fields(self, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        fields = self.low + (self.high - self.low) * torch.rand(SHAPE, generator=generator, dtype=torch.float64)
        fields[..., 2:4, 2:5] += 20.0 * self.shown
        return drifting(fields) if self.flowing else fields


def drifting(noise: Tensor) -> Tensor:
    """Waves that drift by a third of a pixel a frame, in a tenth of the noise."""
    t, y, x = (torch.arange(size, dtype=noise.dtype) for size in noise.shape[2:])
    phase = torch.arange(noise.shape[1], dtype=noise.dtype).view(-1, 1, 1, 1)
    moved = x - 0.3 * t.view(-1, 1, 1)
    return 1 + torch.cos(0.9 * moved + phase) * torch.cos(0.8 * y[:, None] + phase) + 0.1 * noise


def mass(name: str, initial: float | None = None, inflow: float = 0.0, bleaching: str = "none") -> Case:
    def build(concentration: float, length: float, time: float) -> Constraint:
        amount = concentration * length**2
        return MassConservation(
            initial_mass=None if initial is None else initial * amount,
            inflow=inflow * amount / time,
            bleaching=bleaching,
            maximum=concentration,
        )

    return Case(name, build)


def filling(concentration: float, length: float, time: float) -> Constraint:
    flux = [rate * concentration * length**2 / time for rate in (1.0, 2.0, -3.0, 0.0, 4.0)]
    return MassConservation(inflow=flux, maximum=None)


def producing(concentration: float, length: float, time: float) -> Constraint:
    def source(fields: Tensor) -> Tensor:
        return torch.tensor(0.1 * concentration / time, dtype=torch.float64)

    return MassConservation(initial_mass=18.0 * concentration * length**2, maximum=None, source=source)


def flowing(concentration: float, length: float, time: float) -> Constraint:
    velocity = (0.3 * length / time, -0.2 * length / time)
    return Continuity(velocity, [0.1 * length**2 / time, 0.0], scale=3 * concentration / time)


TURNING = ReactionSystem(["a", "b"], ["k"], ["-k*a", "k*a"])


def turning(concentration: float, length: float, time: float) -> Constraint:
    start = {"a": 0.9 * concentration, "b": 0.1 * concentration}
    return Kinetics(TURNING, {"k": 0.7 / time}, start, [("b", 0.3 * time, 0.2 * concentration)])


def reacting(name: str, **options: Any) -> Case:
    """Diffusion and a first-order reaction, whose constants have dimensions of length and time alone."""

    def build(concentration: float, length: float, time: float) -> Constraint:
        area = length**2 / time
        given: dict[str, Any] = {"diffusivity": {"a": 0.2 * area, "b": 0.1 * area}, "parameters": {"k": 0.7 / time}}
        fixed = given if "fitted" not in options else {"diffusivity": {"b": 0.1 * area}}
        scale: dict[str, Any] = {} if "fitted" in options else {"scale": 0.5 * concentration}
        return ReactionDiffusion(TURNING, **fixed, **scale, **options)

    return Case(name, build, rounding=1e-3 if "fitted" in options else 1e-6)  # noise is fitted by a large D


CASES = [
    mass("mass, fixed", initial=18.0),
    mass("mass, fitted", initial=None),
    mass("mass, inflow", inflow=1.5),
    mass("mass, fixed and inflow", initial=15.0, inflow=2.0),
    mass("mass, bleaching", bleaching="exponential"),
    mass("mass, fixed and bleaching", initial=20.0, bleaching="exponential"),
    mass("mass, inflow and bleaching", inflow=-1.0, bleaching="exponential"),
    Case("mass, inflow series, no maximum", filling),
    Case("mass, source", producing),
    Case("continuity", flowing),
    Case("kinetics", turning),
    reacting("reaction-diffusion"),
    reacting("reaction-diffusion, fourth order", order=4),
    reacting("reaction-diffusion, fitted", fitted=["D_a", "k"]),
    reacting("reaction-diffusion, flow map", form="flow_map", substeps=4),
    Case("phase order", lambda concentration, length, time: PhaseOrder(), shown=True),
    Case("phase clock", lambda concentration, length, time: PhaseOrder(form="clock"), shown=True),
    Case("progression", lambda concentration, length, time: Progression()),
    Case("progression, area", lambda concentration, length, time: Progression("area", "shrinks", 0.5 * concentration)),
    Case("progression, pixels", lambda concentration, length, time: Progression("pixels")),
    Case("static", lambda concentration, length, time: Static(waves=4)),
    Case("periodic", lambda concentration, length, time: Periodic(harmonics=1)),
    Case("periodic, given", lambda concentration, length, time: Periodic(0.9 * time, harmonics=1)),
    Case("count", lambda concentration, length, time: Count(1)),
    Case("count, above a threshold", lambda concentration, length, time: Count((0, 1), 0.6 * concentration, 1)),
    Case("permanence", lambda concentration, length, time: Permanence(0.5 * length), single=0.02),
    Case("transport", lambda concentration, length, time: Transport(), flowing=True, single=0.02),
    Case(
        "transport, steady with gain",
        lambda concentration, length, time: Transport(steady=True, gain=True),
        flowing=True,
        single=0.02,
    ),
]
