"""Every guidance computes where the sample is, and there the same: what `elsewhere` says of a machine without a GPU."""

from collections.abc import Callable

import pytest
import torch
from elsewhere import DEVICE, elsewhere
from torch import Tensor

from physgen.constraints import MassConservation, Observed, Progression, ReactionDiffusion, Static
from physgen.grid import Grid
from physgen.guidance import (
    DPS,
    TFG,
    Afterwards,
    Assimilation,
    AugmentedLagrangian,
    Composition,
    ConditionalMean,
    Guidance,
    NoiseSearch,
    Particles,
    PiGDM,
    Projection,
    PrunedBestOfN,
    Replacement,
    X0Gradient,
)
from physgen.sampling import sample_flow

GRID = Grid(spacing=(1.0, 1.0), dt=0.5)
SHAPE = (2, 1, 4, 6, 6)
SIGMAS = torch.tensor([1.0, 0.75, 0.4, 0.0])
SEEN = torch.linspace(0, 1, 144).reshape(SHAPE[1:])


def bright(fields: Tensor) -> Tensor:
    return fields.flatten(1).mean(1)


def laws() -> list[MassConservation | Progression]:
    return [MassConservation(), Progression()]


GUIDANCES: dict[str, Callable[[], Guidance]] = {
    "x0_gradient": lambda: X0Gradient(laws(), terminal=True),
    "projection": lambda: Projection([MassConservation(), Static()], renoise=0.5),
    "pigdm": lambda: PiGDM(laws()),
    "pigdm, forward": lambda: PiGDM(laws(), jacobian="forward"),
    "dps": lambda: DPS(laws()),
    "augmented_lagrangian": lambda: AugmentedLagrangian(laws()),
    "tfg": lambda: TFG(laws(), recurrence=2),
    "conditional_mean": lambda: ConditionalMean([Observed(SEEN, SEEN > 0.5, noise=0.1)]),
    "afterwards": lambda: Afterwards(laws()),
    "replacement": lambda: Replacement(torch.where(SEEN > 0.5, SEEN, torch.nan)[None]),
    "composition": lambda: Composition([X0Gradient([MassConservation()]), Projection([Progression()])]),
    "assimilation": lambda: Assimilation(
        [Observed(SEEN, SEEN > 0.5, noise=0.1), ReactionDiffusion("diffusion", fitted=["D"], form="flow_map")]
    ),
    "assimilation, hard": lambda: Assimilation(
        [Observed(SEEN, SEEN > 0.5), ReactionDiffusion("diffusion", {"c": 0.1}, form="flow_map")]
    ),
    "particles": lambda: Particles(2, {"bright": bright}),
    "pruned": lambda: PrunedBestOfN(2, {"bright": bright}, levels=(0.1,), left=(1,)),
    "noise_search": lambda: NoiseSearch({"bright": bright}, inside=X0Gradient([MassConservation()])),
}


def velocity(x: Tensor, sigma: Tensor) -> Tensor:
    return (2 * sigma - 1) * x / (sigma**2 + (1 - sigma) ** 2) + 0.1 * x.tanh()


@pytest.fixture(autouse=True)
def only_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physgen.ops.backend.find_spec", lambda name: None)


def noise() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", GUIDANCES)
def test_samples_are_guided_where_they_are(name: str) -> None:
    def sampled(x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return sample_flow(velocity, x, SIGMAS, guidance=GUIDANCES[name](), grid=GRID, generator=generator)

    near = sampled(noise())
    with elsewhere():
        far = sampled(noise().to(DEVICE))
        assert far.device == DEVICE
        torch.testing.assert_close(far.cpu(), near, rtol=0, atol=0)


def test_members_of_an_ensemble_know_an_observation_of_any_device() -> None:
    def joined(seen: Tensor, fields: Tensor) -> Tensor:
        law = ReactionDiffusion("diffusion", {"c": 0.1}, form="flow_map")
        whole = Assimilation([Observed(seen, seen > 0.5, noise=0.1), law])
        members = whole.members(fields, torch.Generator().manual_seed(2))
        return members[1].projection(fields, GRID).fields

    seen = torch.linspace(0, 1, 500).reshape(1, 5, 10, 10)
    samples = seen + 0.1 * torch.randn(2, *seen.shape, generator=torch.Generator().manual_seed(3))
    near = joined(seen, samples)
    with elsewhere():
        for device in (torch.device("cpu"), DEVICE):
            far = joined(seen.to(device), samples.to(DEVICE))
            torch.testing.assert_close(far.cpu(), near, rtol=0, atol=0)
