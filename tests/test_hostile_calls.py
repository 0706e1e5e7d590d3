# mypy: disable-error-code="arg-type, list-item, dict-item, return-value"
"""Calls that cannot be meant, in Python that checks no types: each ends in one clear line, before anything is spent."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from physgen.audit import audit
from physgen.constraints import (
    Continuity,
    Equality,
    Kinetics,
    MassConservation,
    Observed,
    Periodic,
    PhaseOrder,
    ReactionDiffusion,
    ReactionSystem,
    Static,
    Transport,
)
from physgen.drawn import draw
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import DPS, TFG, BestOfN, Composition, ConditionalMean, Particles, Projection, X0Gradient
from physgen.observables import ColourMap, Intensity
from physgen.projected import project_video
from physgen.sampling import PhysicsNeMoGuidance, guide, guided_denoiser, sample_flow
from physgen.worlds import Request

GRID = Grid(spacing=(1.0, 1.0), dt=1.0)
FIELDS, VIDEO, SIGMAS = torch.rand(2, 1, 3, 6, 6), torch.rand(1, 3, 3, 6, 6), torch.linspace(1, 0, 3)
LAW, DYE = MassConservation(), Intensity()
SEEN = torch.ones(1, 1, 3, 6, 6, dtype=torch.bool)
HEAT = ReactionDiffusion("diffusion", fitted=["D"])
DECAY = ReactionSystem(["c"], ["k"], ["-k*c"])
MIXING = ReactionSystem(["a", "b"], [], ["0", "0"])


def still(x: Any, sigma: Any) -> Any:
    return 0 * x


def corrected(guidance: Any = None, x0_hat: Any = FIELDS, **given: Any) -> Any:
    return (guidance or X0Gradient([LAW])).correct(x0_hat, **{"x_t": FIELDS, "sigma": 0.5, "grid": GRID} | given)


def guided(guidance: Any, pipe: Any = None, **given: Any) -> None:
    with guide(pipe or SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler()), guidance, **given):
        pass


def with_another_graph() -> Any:
    return corrected(DPS([LAW]), 0.5 * FIELDS.clone().requires_grad_(), x_t=FIELDS.clone().requires_grad_())


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    # a class in the place of what it makes, a law in the place of a list, or of a guidance
    "a class of law": (lambda: Projection(MassConservation), r"MassConservation\(\.\.\.\) makes one"),
    "a list of classes": (lambda: DPS([MassConservation]), r"MassConservation\(\.\.\.\) makes one"),
    "a name for a law": (lambda: Projection("mass"), "a Constraint"),
    "laws composed": (lambda: Composition([LAW, LAW]), "a Guidance|guidances"),
    "one guidance composed": (lambda: Composition(Projection(LAW)), "a list of two"),
    "a class of guidance in guide": (lambda: guided(Projection), r"Projection\(\.\.\.\) makes one"),
    "a law in guide": (lambda: guided(LAW), "a Guidance"),
    "laws in guide": (lambda: guided([LAW]), "a Guidance"),
    "a law in a sampler": (lambda: sample_flow(still, FIELDS, SIGMAS, guidance=LAW), "a Guidance"),
    "a class in a sampler": (lambda: sample_flow(still, FIELDS, SIGMAS, guidance=Projection), "makes one"),
    "a law in a denoiser": (lambda: guided_denoiser(still, LAW), "a Guidance"),
    "a law in PhysicsNeMo": (lambda: PhysicsNeMoGuidance(LAW), "a Guidance"),
    "a law on a video": (lambda: project_video(VIDEO, LAW, DYE, GRID), "a Guidance"),
    "a class of observable": (lambda: project_video(VIDEO, Projection(LAW), Intensity, GRID), "Intensity"),
    "an observable's class in guide": (lambda: guided(Projection(LAW), observable=Intensity), "makes one"),
    "no observable": (lambda: audit(VIDEO, None, LAW, GRID, tolerance=0.05), "an Observable"),
    "a grid of numbers": (lambda: LAW.residual(FIELDS, (1.0, 1.0)), "a Grid"),
    "a grid of numbers in guide": (lambda: guided(Projection(LAW), grid=(1.0, 1.0)), "a Grid"),
    "a world's name": (lambda: draw("micro", Request("dye", seed=0)), "load_world"),
    "no pipeline": (lambda: guided(Projection(LAW), pipe="wan"), "diffusers pipelines"),
    # fractions for counts
    "steps": (lambda: X0Gradient(LAW, steps=1.5), "a whole number"),
    "steps that are text": (lambda: X0Gradient(LAW, steps="2"), "a whole number"),
    "every": (lambda: X0Gradient(LAW, every=2.5), "a whole number"),
    "products": (lambda: ConditionalMean(LAW, steps=2.5), "a whole number"),
    "visits": (lambda: TFG(LAW, recurrence=1.5), "a whole number"),
    "draws": (lambda: BestOfN(LAW, n=2.5), "a whole number"),
    "particles": (lambda: Particles(2.5, LAW), "a whole number"),
    "a number for a reward": (lambda: Particles(2, {"mass": 3}), "a Constraint or a function"),
    "a class for a reward": (lambda: Particles(2, [MassConservation]), r"MassConservation\(\.\.\.\) makes one"),
    "levels that are a number": (lambda: Particles(2, LAW, resample=0.5), "a list of fractions"),
    "a law inside": (lambda: Particles(2, LAW, inside=LAW), "a Guidance"),
    "sub-steps": (lambda: ReactionDiffusion("diffusion", {"c": 1.0}, substeps=1.5), "a whole number"),
    "a species": (lambda: PhaseOrder(chromatin=0.5), "a whole number"),
    "steps of a request": (lambda: Request("dye", seed=0, steps=1.5), "a whole number"),
    "a seed": (lambda: Request("dye", seed=1.5), "a whole number"),
    "a window of text": (lambda: X0Gradient(LAW, start="early"), "start < stop"),
    "renoise": (lambda: X0Gradient(LAW, renoise=math.nan), "0 to 1"),
    # tensors of another kind or shape
    "a sigma for each sample": (lambda: corrected(sigma=torch.tensor([0.5, 0.4])), "one noise level"),
    "an x_t of another shape": (lambda: corrected(x_t=FIELDS[..., :5]), "noisy samples"),
    "an x_t of one sample": (lambda: corrected(x_t=FIELDS[:1]), "noisy samples"),
    "no x_t": (lambda: corrected(x_t=None), "noisy samples"),
    "an x_t with another graph": (with_another_graph, "computed from x_t"),
    "an array": (lambda: LAW.residual(FIELDS.numpy(), GRID), "a torch.Tensor"),
    "an array for phases": (lambda: PhaseOrder().project(FIELDS.numpy(), GRID), "a torch.Tensor"),
    "a list for a flow": (lambda: Transport(form="steady").project(FIELDS.tolist(), GRID), "a torch.Tensor"),
    "an array for what stays": (lambda: Static().project(FIELDS.numpy(), GRID), "a torch.Tensor"),
    "nothing for what repeats": (lambda: Periodic().project(None, GRID), "a torch.Tensor"),
    "an array for what was seen": (lambda: Observed(FIELDS[:1], SEEN, 0.1).project(FIELDS.numpy(), GRID), "a torch"),
    "no samples for phases": (lambda: PhaseOrder().project(FIELDS[:0], GRID), "at least 2 frames"),
    "no samples for what was seen": (lambda: Observed(FIELDS[:1], SEEN, 0.1).loss(FIELDS[:0], GRID), "one sample"),
    "no noise": (lambda: sample_flow(still, FIELDS[:0], SIGMAS), "one sample or more"),
    "one cell that diffuses": (lambda: HEAT.fit(FIELDS[..., :1, :1], GRID), "more than one cell"),
    "bytes": (lambda: DYE((255 * VIDEO).byte()), "floating point"),
    "an array for a video": (lambda: project_video(VIDEO.numpy(), Projection(LAW), DYE, GRID), "a torch.Tensor"),
    "two videos for one": (lambda: audit(VIDEO.expand(2, -1, -1, -1, -1), DYE, LAW, GRID, tolerance=0), "one video"),
    "no video": (lambda: project_video(VIDEO[:0], Projection(LAW), DYE, GRID), "none of them 0"),
    "samples of integers": (lambda: corrected(x0_hat=FIELDS.long()), "floating point"),
    "a decoder to nothing": (lambda: corrected(decode=lambda x: None), "a torch.Tensor"),
    "a number for a decoder": (lambda: corrected(decode=3), "a function"),
    "sigmas in a list": (lambda: sample_flow(still, FIELDS, [1.0, 0.0]), "a tensor"),
    "a velocity to nothing": (lambda: sample_flow(lambda x, s: None, FIELDS, SIGMAS), "like x"),
    "known fields of another shape": (lambda: DYE.agreement(VIDEO, FIELDS), "shape"),
    # what the laws are given
    "a source that is a number": (lambda: MassConservation(source=3.0), "a function"),
    "a source to a number": (lambda: MassConservation(source=lambda c: 1.0).residual(FIELDS, GRID), "a torch.Tensor"),
    "a function of nothing": (lambda: Equality(None), "a function"),
    "a function to a number": (lambda: Equality(lambda x: 1.0).residual(FIELDS), "a torch.Tensor"),
    "constants without names": (lambda: LAW.with_constants([1.0]), "a list of values of each"),
    "constants of other samples": (
        lambda: LAW.with_constants({"initial_mass": [[1.0]] * 3}).residual(FIELDS, GRID),
        "one of each sample",
    ),
    "a constant for all samples": (
        lambda: Kinetics(DECAY, {"k": (0.0, 1.0)}, {"c": 1.0}).with_constants({"k": 0.5}),
        "one value of each sample",
    ),
    "a bolus that is a number": (lambda: Kinetics(DECAY, {"k": 1.0}, boluses=[1]), "species"),
    "a flow that is no list": (lambda: Kinetics(MIXING, exchange=3), "a list"),
    "regions in a list": (lambda: Kinetics(DECAY, {"k": 1.0}, regions=[[1.0]]), "a tensor"),
    "durations in a list": (lambda: PhaseOrder(durations=["metaphase"]), "a mapping"),
    "exceptions that are a number": (lambda: PhaseOrder(exceptions=3), "a list"),
    "a velocity of text": (lambda: Continuity("fast"), "one per axis"),
    "a system of numbers": (
        lambda: ReactionDiffusion({"species": 3, "parameters": [], "rates": []}),
        "a list of names",
    ),
    "bounds that are a number": (lambda: LAW.within(1.0), "lowest, highest"),
    "a tolerance of text": (lambda: LAW.satisfied(FIELDS, GRID, "loose"), ">= 0"),
    "a length beyond floats": (lambda: Grid((10**400, 1.0), 1.0), "finite"),
    "a colour by name": (lambda: ColourMap(["red"], (0, 0, 0), ("a",)), "rgb"),
    "species as text": (lambda: ColourMap([(1, 0, 0)], (0, 0, 0), "a"), "a list"),
}


@pytest.mark.parametrize("name", CALLS)
def test_one_clear_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    call, message = CALLS[name]
    with pytest.raises(InvalidArgument, match=message) as error:
        call()
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 400


def test_what_is_taken_as_it_is_meant() -> None:
    assert list(Projection(LAW).constraints) == ["mass"]
    assert corrected(sigma=torch.tensor(0.5)).shape == FIELDS.shape
