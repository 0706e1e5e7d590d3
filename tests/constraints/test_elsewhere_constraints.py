"""Every law computes where its fields are, and there the same: what `elsewhere` says of a machine without a GPU.

Both sides take torch's own operators: kernels of a GPU are not tried here, nor those of the CPU.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from elsewhere import DEVICE, elsewhere
from law_cases import CASES, GRID, TURNING, Case, reacting
from torch import Tensor

from physgen.constraints import (
    Constraint,
    Equality,
    Inequality,
    Kinetics,
    MassConservation,
    Observed,
    Permanence,
    PhaseOrder,
    ReactionDiffusion,
    ReactionSystem,
    Static,
    Transport,
)

MIXING = ReactionSystem(["a", "b"], [], ["0", "0"])
WALLS = replace(GRID, boundary="dirichlet")
PERIODIC = replace(GRID, boundary="periodic")


def case(name: str, law: Callable[[], Constraint], **options: Any) -> Case:
    return Case(name, lambda concentration, length, time: law(), **options)


def observed(**options: Any) -> Callable[[], Constraint]:
    return lambda: Observed(CASES[0].fields().flip(0), torch.arange(7) % 2 == 0, **options)


MORE = [
    (case("static, camera", lambda: Static(waves=4, camera=True), shown=True), GRID),
    (reacting("reaction-diffusion, flow map fitted", fitted=["D_a", "k"], form="flow_map", substeps=4), GRID),
    (reacting("reaction-diffusion, walls", wall={"a": 0.1, "b": 0.0}, absent=0.2), WALLS),
    (case("mixing, fitted", lambda: ReactionDiffusion(MIXING, {"b": 0.1}, fitted=["D_a"], form="flow_map")), GRID),
    (case("kinetics, fitted", lambda: Kinetics(TURNING, {"k": (0.01, 10)}, {"a": 1.5, "b": torch.tensor(0.1)})), GRID),
    (case("mass, of each species", lambda: MassConservation(inflow=[[0.1], [0.2]])), GRID),
    (case("phase order, cell", lambda: PhaseOrder(cell=1, durations={"prophase": 1.0}), shown=True), GRID),
    (case("permanence, periodic", lambda: Permanence(0.5, divides=True, merges=True)), PERIODIC),
    (case("transport, general", lambda: Transport("general"), flowing=True), GRID),
    (case("transport, steady", lambda: Transport(form="steady", background=True), flowing=True), PERIODIC),
    (case("transport, rightward", lambda: Transport(form="steady", direction="right"), flowing=True), PERIODIC),
    (case("equality", lambda: Equality(lambda x: x.mean((3, 4)) - 0.5)), GRID),
    (case("inequality", lambda: Inequality(lambda x: x - 0.5)), GRID),
    (case("observed", observed()), GRID),
    (case("observed, noisy", observed(noise=0.5)), GRID),
    (case("observed, noise of each", observed(noise=torch.linspace(0.5, 1.0, 7))), GRID),
    (case("observed, reading", observed(noise=0.5, reading=lambda x: x.square())), GRID),
]
EVERY = [*((case, GRID) for case in CASES), *MORE]
SLOW = ("transport", "reaction-diffusion, fitted", "reaction-diffusion, flow map f", "mixing", "kinetics, fitted")


def computed(law: Constraint, fields: Tensor, grid: Any) -> dict[str, Any]:
    """All that a law says of fields."""
    leaf = fields.clone().requires_grad_()
    loss = law.loss(leaf, grid)
    found = law.fit(fields, grid)
    tensors = {
        "residual": law.residual(fields, grid),
        "loss": loss,
        "gradient": torch.autograd.grad(loss.sum(), leaf)[0],
        "floor": law.floor(fields, grid),
        "satisfied": law.satisfied(fields, grid, 0.1),
        "held": law.with_constants(found).residual(fields, grid),
    }
    if law.projects:
        tensors["projected"] = law.project(fields, grid)
    return {**tensors, "fit": repr(found), "described": repr(law.describe(fields, grid))}


@pytest.mark.parametrize(
    ("case", "grid"),
    [
        pytest.param(*pair, id=pair[0].name, marks=[pytest.mark.slow] if pair[0].name.startswith(SLOW) else [])
        for pair in EVERY
    ],
)
def test_laws_compute_where_fields_are(case: Case, grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physgen.ops.backend.find_spec", lambda name: None)
    law = case.build(1, 1, 1)
    near = computed(law, case.fields(), grid)
    with elsewhere():
        far = computed(law, case.fields().to(DEVICE), grid)
        for name, value in near.items():
            if isinstance(value, Tensor):
                assert far[name].device == DEVICE, name
                torch.testing.assert_close(far[name].cpu(), value, rtol=0, atol=0, msg=name)
            else:
                assert far[name] == value, name


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_observed_may_be_given_on_any_device(masked: bool) -> None:
    values = CASES[0].fields().flip(0)
    mask = values[0] > 0.5 if masked else None
    near = Observed(values, mask, noise=0.5).residual(CASES[0].fields())
    with elsewhere():
        law = Observed(values.to(DEVICE), mask, noise=0.5)
        for fields in (CASES[0].fields(), CASES[0].fields().to(DEVICE)):
            found = law.residual(fields)
            assert found.device == fields.device
            assert torch.equal(found.cpu(), near)


def test_constants_may_be_given_on_any_device() -> None:
    laws = {"shift_y": Static(waves=4, camera=True), "initial_mass": MassConservation()}
    fields = CASES[0].fields()
    for name, law in laws.items():
        found = law.fit(fields, GRID)
        near = law.with_constants(found).residual(fields, GRID)
        with elsewhere():
            there = {key: torch.tensor(values, device=DEVICE) for key, values in found.values.items()}
            far = law.with_constants(there).residual(fields.to(DEVICE), GRID)
            torch.testing.assert_close(far.cpu(), near, msg=name)
