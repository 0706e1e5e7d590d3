"""Steps with the loss make predictions lawful: in plain PyTorch, in Accelerate, with every type of prediction."""

from __future__ import annotations

from typing import Any

import diffusers as d
import pytest
import torch
from markers import slow_except
from torch import Tensor, nn

from physgen.constraints import MassConservation
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.training import ConstraintLoss, conflict_free
from physgen.training.noised import noised

GRID = Grid(spacing=(1.0, 1.0), dt=0.1)
SCHEDULERS = {
    "flow": d.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc-flow": d.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    "epsilon": d.DDPMScheduler(),
    "v": d.DDIMScheduler(prediction_type="v_prediction"),
    "sample": d.DDPMScheduler(prediction_type="sample"),
    "cogvideox": d.CogVideoXDDIMScheduler(prediction_type="v_prediction"),
    "dpm-epsilon": d.DPMSolverMultistepScheduler(),
    "euler-epsilon": d.EulerDiscreteScheduler(),
    "euler-v": d.EulerDiscreteScheduler(prediction_type="v_prediction"),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_target_of_each_prediction_stands_for_the_clean_sample(name: str) -> None:
    """The samples are noised by diffusers itself, and the target is its own where it has one."""
    scheduler = SCHEDULERS[name]
    if name.startswith("dpm"):  # its sigmas run the other way until then
        scheduler.set_timesteps(1000)
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(3, 1, 2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    flow = scheduler.config.prediction_type == "flow_prediction" if "prediction_type" in scheduler.config else True
    timesteps = scheduler.timesteps[[400, 700, 950]] if not flow else torch.tensor([100.0, 500.0, 900.0])
    at = noised(scheduler, timesteps)
    a, b = (level.double().view(3, 1, 1, 1, 1) for level in (at.a, at.b))
    sample = a * x0 + b * noise
    if not flow:
        assert torch.allclose(sample.float(), scheduler.add_noise(x0, noise, timesteps).float(), atol=1e-3)
    targets = {
        "flow_prediction": noise - x0,
        "epsilon": noise,
        "v_prediction": (a * noise - b * x0) / (a**2 + b**2).sqrt(),
        "sample": x0,
    }
    if hasattr(scheduler, "get_velocity") and at.kind == "v_prediction" and name != "euler-v":
        assert torch.allclose(targets[at.kind], scheduler.get_velocity(x0, noise, timesteps), atol=1e-5)
    assert torch.allclose(at.x0(sample, targets[at.kind]), x0, atol=1e-4)
    assert torch.allclose(at.sigma.double().view(a.shape), b / (a + b))


@pytest.mark.parametrize(
    ("scheduler", "timestep", "named"),
    [
        (d.EDMEulerScheduler(), 5, "scheduler"),
        (d.LCMScheduler(), 5, "scheduler"),
        (d.TCDScheduler(), 5, "scheduler"),
        (d.DDPMScheduler(), 1001, "timesteps"),
        (d.DDPMScheduler(), -1, "timesteps"),
    ],
)
def test_what_is_not_known_is_refused(scheduler: Any, timestep: int, named: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        noised(scheduler, torch.tensor([timestep]))
    assert error.value.name == named


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.SiLU(), nn.Conv3d(8, 1, 3, padding=1))


def run(steps: int, constrained: bool, accelerator: Any = None, conflict: bool = True) -> tuple[float, float]:
    """Fine-tune on static noise that keeps its mass; flow loss and violation of x0_hat on the same held-out draws."""
    generator = torch.Generator().manual_seed(1)
    model, loss = network(), ConstraintLoss([MassConservation()], weight=torch.ones_like)

    def batch() -> tuple[Tensor, Tensor]:
        x0 = torch.rand(8, 1, 1, 6, 6, generator=generator).expand(8, 1, 4, 6, 6)
        noise, sigma = torch.randn(x0.shape, generator=generator), torch.rand(8, generator=generator)
        s = sigma.view(-1, 1, 1, 1, 1)
        velocity = model((1 - s) * x0 + s * noise)
        flow = (velocity - (noise - x0)).square().mean()
        return flow, loss((1 - s) * x0 + s * noise - s * velocity, sigma, grid=GRID).mean()

    def train(count: int, constrained: bool) -> None:
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        prepared = accelerator.prepare(optimiser) if accelerator else optimiser
        for _ in range(count):
            flow, violation = batch()
            total = conflict_free(flow, violation, model.parameters()) if conflict else flow + violation
            prepared.zero_grad()
            (accelerator.backward if accelerator else Tensor.backward)(total if constrained else flow)
            prepared.step()

    train(100, constrained=False)
    train(steps, constrained)
    generator.manual_seed(2)
    with torch.no_grad():
        pairs = [batch() for _ in range(16)]
    return sum(float(f) for f, _ in pairs) / 16, sum(float(v) for _, v in pairs) / 16


@pytest.mark.parametrize("conflict", slow_except({True}, [True, False]))
def test_predictions_become_more_lawful_and_hardly_worse(conflict: bool) -> None:
    start, plain, physical = run(0, False), run(60, False), run(60, True, conflict=conflict)
    assert plain[0] < start[0]
    assert physical[0] < 1.05 * plain[0]
    assert physical[1] < (0.9 if conflict else 0.97) * plain[1]


def test_accelerate_trains_the_same() -> None:
    from accelerate import Accelerator

    assert run(5, True, Accelerator(cpu=True)) == pytest.approx(run(5, True), rel=1e-5)
