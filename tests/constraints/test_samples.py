"""Laws that know something of each sample, where one sample of the batch has no finite values."""

import math

import pytest
import torch

from physgen.constraints import (
    Constraint,
    Continuity,
    Kinetics,
    MassConservation,
    Observed,
    Periodic,
    ReactionDiffusion,
    ReactionSystem,
    Static,
)
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.guidance import Assimilation, Guidance, Projection, X0Gradient
from physgen.guidance.problem import Decode, Problem
from physgen.guidance.solve.certificate import certify
from physgen.observables import Intensity
from physgen.projected import project_video

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
FIELDS = torch.rand(3, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BROKEN = FIELDS.clone()
BROKEN[1, 0, 2, 3, 3] = math.nan
FINITE = torch.tensor([True, False, True])
SINGLE = torch.eye(3, dtype=torch.bool)

DECAY = ReactionSystem(["c"], {"k": (0.0, 10.0)}, ["-k*c"])
SHIFTS = torch.rand(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).tolist()
HEAT = ReactionDiffusion("diffusion", {"c": torch.tensor([1.0, 2.0, 3.0])})
LAWS = {
    "observed, hard": Observed(FIELDS.flip(0)),
    "observed, noisy": Observed(FIELDS.flip(0), noise=0.1),
    "mass": MassConservation().with_constants({"initial_mass": [[10.0], [20.0], [30.0]]}),
    "continuity": Continuity(FIELDS.expand(3, 2, 6, 6, 6)),
    "reaction-diffusion": HEAT,
    "reaction-diffusion, held": ReactionDiffusion("diffusion", fitted=["D"]).with_constants({"D": [1.0, 2.0, 3.0]}),
    "kinetics": Kinetics(DECAY, {"k": (0.0, 9.0)}, {"c": 1.0}).with_constants({"k": [1.0, 2.0, 3.0]}),
    "static": Static(4, camera=True).with_constants({"shift_y": SHIFTS, "shift_x": SHIFTS[::-1]}),
    "periodic": Periodic(harmonics=1).with_constants({"period": [0.25, 0.3, 0.35]}),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


@every_law
def test_of_some_samples_it_says_what_it_says_of_all(law: Constraint) -> None:
    whole = law.residual(FIELDS, GRID)
    some = law.keep_samples(FINITE)
    torch.testing.assert_close(some.residual(FIELDS[FINITE], GRID), whole[FINITE])
    last = some.keep_samples(torch.tensor([False, True]))
    torch.testing.assert_close(last.residual(FIELDS[2:], GRID), whole[2:])


@every_law
def test_it_refuses_another_batch(law: Constraint) -> None:
    with pytest.raises(InvalidArgument):
        law.keep_samples(torch.tensor([True, False])).residual(FIELDS[:1], GRID)


@every_law
def test_what_is_not_finite_is_left_out(law: Constraint) -> None:
    found, whole = (Problem({"law": law}, grid=GRID).residuals(fields)["law"] for fields in (BROKEN, FIELDS))
    torch.testing.assert_close(found[FINITE], whole[FINITE])
    assert bool(found[1].isnan().all())


@every_law
@pytest.mark.parametrize("decode", [None, lambda z: 1 * z])
@pytest.mark.parametrize("cls", [X0Gradient, Projection])
def test_guidance_corrects_the_others_as_if_alone(cls: type[Guidance], decode: Decode | None, law: Constraint) -> None:
    corrected = cls({"law": law}).correct(BROKEN, x_t=BROKEN, sigma=0.5, decode=decode, grid=GRID)
    for one in SINGLE[FINITE]:
        alone = cls({"law": law.keep_samples(one)})
        wanted = alone.correct(BROKEN[one], x_t=BROKEN[one], sigma=0.5, decode=decode, grid=GRID)
        torch.testing.assert_close(corrected[one], wanted)


@every_law
def test_each_is_projected_and_certified(law: Constraint) -> None:
    projection = Projection({"law": law})
    target = projection.projection(BROKEN, GRID)
    for one in SINGLE[FINITE]:
        alone = Projection({"law": law.keep_samples(one)}).projection(FIELDS[one], GRID)
        torch.testing.assert_close(target.fields[one], alone.fields)
    whole = projection.projection(FIELDS, GRID)
    assert certify(whole, whole.fields, whole.fields.float().double())["law"].satisfied


def test_a_video_is_projected_onto_what_was_observed_of_each() -> None:
    video = FIELDS.float().expand(3, 3, 6, 6, 6).clone()
    video[1, 0, 2, 3, 3] = math.nan
    values = FIELDS.float().flip(0) / 2
    law = Observed(values)
    found = project_video(video, Projection({"seen": law}), Intensity(), GRID)
    torch.testing.assert_close(found.video[FINITE].mean(1, keepdim=True), values[FINITE])
    assert found.record.certificate["seen"].residual_max < 1e-5


def test_each_joins_its_own_law() -> None:
    heat = ReactionDiffusion("diffusion", {"c": torch.tensor([1.0, 2.0, 3.0])}, form="flow_map")
    joined = Assimilation([Observed(FIELDS[:1], noise=0.1), heat]).projection(BROKEN, GRID)
    for one in SINGLE[FINITE]:
        assert heat.keep_samples(one).residual(joined.fields[one], GRID).abs().max() < 1e-6
    assert joined.violations(joined.fields)["reaction_diffusion"] < 1e-6
