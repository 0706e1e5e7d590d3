"""The PTX of the library's kernels, executed: right to float32 rounding, in bounds, without races, frugal."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.grid import Grid
from physgen.ops.phase_order import left_to_right, phase_order_nll
from physgen.ops.reaction_diffusion import crank_nicolson_residual
from physgen.stencil import WALLS
from ptx.emit import GROUPS, HEIGHT, MASS, PHASE_ORDER, QUICK, REACTION_DIFFUSION, WIDTH, Case
from ptx.errors import Fault, Refused
from ptx.machine import launch
from ptx.memory import GlobalMemory
from ptx.parser import parse

pytest.importorskip("triton")

#: rounding to nearest of a value in float32 (with what a few operations add) and bfloat16
TOLERANCE = {"fp32": 2e-7, "bf16": 2**-9 + 2e-7}
#: whose rates, of hundreds, nearly cancel
CALCIUM_WAVE = {"fp32": 3e-7}
BYTES = {"fp32": 4, "bf16": 2}


@dataclass(frozen=True)
class Emitted:
    """PTX by case, with its compile-time arguments and the shared memory it needs."""

    folder: Path
    cases: dict[str, dict[str, Any]]

    def constants(self, case: Case) -> dict[str, int]:
        assert "error" not in self.cases[str(case)], self.cases[str(case)]["error"]
        return self.cases[str(case)]

    def launch(
        self,
        case: Case,
        grid: tuple[int, int, int],
        arguments: list[int | float],
        memory: GlobalMemory,
        edit: tuple[str, str] = ("$", ""),
    ) -> None:
        text, edits = re.subn(*edit, (self.folder / f"{case}.ptx").read_text())
        assert edits
        launch(parse(text), grid, arguments, memory, self.cases[str(case)]["shared"])


def emit(folder: Path, group: str) -> Emitted:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "ptx.emit", str(folder), group]
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Emitted(folder, json.loads((folder / "cases.json").read_text()))


@pytest.fixture(scope="session")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    return emit(tmp_path_factory.mktemp("ptx"), "quick")


@pytest.fixture(scope="session")
def emitted_slowly(tmp_path_factory: pytest.TempPathFactory) -> Emitted:
    return emit(tmp_path_factory.mktemp("ptx"), "slow")


def to_device(values: Tensor, dtype: str) -> NDArray:
    return values.float().numpy() if dtype == "fp32" else values.bfloat16().view(torch.uint16).numpy()


def fetch(memory: GlobalMemory, address: int, shape: tuple[int, ...], dtype: str) -> Tensor:
    if dtype == "fp32":
        return torch.from_numpy(memory.fetch(address, shape, np.float32)).double()
    return torch.from_numpy(memory.fetch(address, shape, np.uint16)).view(torch.bfloat16).double()


def rounded(values: Tensor, dtype: str) -> Tensor:
    return values.to({"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]).double()


def relative(got: Tensor, exact: Tensor) -> float:
    return ((got - exact).norm() / exact.norm()).item()


@dataclass(frozen=True)
class Run:
    """Errors of gradient and loss relative to float64, and bytes per element.

    Attributes:
        gradient: error.
        loss: error.
        moved: what a cache that forgets nothing would load and store.
        loaded: what threads ask for.
        allowed: that of 13 loads a cell of every frame marched, cells beyond the frame included, and of every
            coefficient once a thread.
        stored: of the gradient.
    """

    gradient: float
    loss: float
    moved: float
    loaded: float
    allowed: float
    stored: float


def run_reaction_diffusion(case: Case, emitted: Emitted, **options: Any) -> Run:
    system, known = reaction_system(case.system), SYSTEMS[case.system]
    species, frames, height, width = len(system.species), 3, HEIGHT, WIDTH
    grid = Grid(spacing=(2.0, 1.0), dt=0.5, boundary=case.boundary)
    generator = torch.Generator().manual_seed(0)
    fields = rounded(0.2 + 0.8 * torch.rand(2, species, frames, height, width, generator=generator), case.dtype)
    coefficients = rounded(
        torch.cat(
            [
                torch.rand(2, 3 * species, generator=generator) + 0.1,
                torch.tensor([list(known.values.values())]).expand(2, -1),
            ],
            1,
        ),
        "fp32",
    )
    diffusivity, weight, wall = (part.T for part in coefficients[:, : 3 * species].split(species, 1))

    exact = fields.clone().requires_grad_()
    by_species = [dict(zip(system.species, part, strict=True)) for part in (diffusivity, wall)]
    values = dict(zip(known.values, coefficients[:, 3 * species :].T, strict=True))
    residual = crank_nicolson_residual(exact, system, by_species[0], values, grid, wall=by_species[1])
    losses = (residual.square().sum((2, 3, 4)) * weight.T).sum(1) / 2
    gradient = torch.autograd.grad(losses.sum(), exact)[0]

    chunk = 2
    constants = emitted.constants(case)
    tiles = math.ceil(height / constants["BLOCK_H"]) * math.ceil(width / constants["BLOCK_W"])
    programs = (tiles, math.ceil(frames / chunk), 2)
    memory = GlobalMemory()
    u = memory.place("U", to_device(fields, case.dtype))
    g = memory.reserve("G", fields.numel() * BYTES[case.dtype])
    partial = memory.reserve("PARTIAL", 4 * math.prod(programs))
    arguments = [
        memory.place("COEFFICIENTS", to_device(coefficients, "fp32")),
        memory.place("SCALARS", np.array([0.25, 1, 2], np.float32)),
    ]
    sizes = [frames, chunk, height, width, species * frames * height * width, frames * height * width, height * width]
    emitted.launch(case, programs, [u, g, partial, *arguments, *sizes], memory, **options)

    sums = fetch(memory, partial, programs[::-1], "fp32").sum((1, 2))
    elements, chunks = fields.numel(), programs[1]
    threads = 2 * tiles * constants["BLOCK_H"] * constants["BLOCK_W"]
    by_fields = 13 * species * (frames + 2 * chunks) * BYTES[case.dtype]
    by_coefficients = 4 * chunks * (3 + coefficients.shape[1])
    return Run(
        gradient=relative(fetch(memory, g, fields.shape, case.dtype), gradient),
        loss=relative(sums, losses.detach()),
        moved=(memory.loaded.distinct_bytes + memory.stored.distinct_bytes) / elements,
        loaded=memory.loaded.requested / elements,
        allowed=threads * (by_fields + by_coefficients) / elements,
        stored=(memory.stored.requested - 4 * math.prod(programs)) / elements,
    )


def check_reaction_diffusion(case: Case, emitted: Emitted) -> None:
    """To rounding, and with no byte read or written more often than the kernel's text says."""
    run = run_reaction_diffusion(case, emitted)
    tolerance = CALCIUM_WAVE if case.system == "calcium_wave" else TOLERANCE
    assert run.gradient <= tolerance[case.dtype]
    assert run.loss <= tolerance["fp32"]
    assert run.moved <= 2.2 * BYTES[case.dtype]
    assert run.loaded <= run.allowed
    assert run.stored == BYTES[case.dtype]


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_reaction_diffusion(case: Case, emitted: Emitted) -> None:
    check_reaction_diffusion(case, emitted)


@pytest.mark.slow
@pytest.mark.parametrize("case", GROUPS["slow"], ids=str)
def test_reaction_diffusion_of_other_systems(case: Case, emitted_slowly: Emitted) -> None:
    check_reaction_diffusion(case, emitted_slowly)


def test_every_shipped_system_is_executed_in_float32() -> None:
    cases = [case for case in REACTION_DIFFUSION if case.dtype == "fp32"]
    assert {case.system for case in cases} == set(SYSTEMS)
    assert min(Counter(case.boundary for case in cases)[wall] for wall in WALLS) >= 2


def run_phase_order(case: Case, emitted: Emitted, **options: Any) -> tuple[float, float]:
    """Errors of posterior and likelihood relative to float64."""
    samples = emitted.constants(case)["SAMPLES"]
    batch, frames, phases = samples + 3, 6, 7
    generator = torch.Generator().manual_seed(1)
    evidence = rounded(3 * torch.randn(batch, frames, phases, generator=generator), case.dtype)
    evidence[0, 2, 3] = -torch.inf
    stay = torch.rand(phases, generator=generator) * 0.5 + 0.4
    initial = torch.softmax(torch.randn(phases, generator=generator), 0)
    transitions = left_to_right(stay)

    exact = evidence.clone().requires_grad_()
    model = {"initial": initial.log().double().exp(), "transitions": transitions.log().double().exp()}
    losses = phase_order_nll(exact, **model, backend="reference")
    posterior = -torch.autograd.grad(losses.sum(), exact)[0]

    memory = GlobalMemory()
    arguments = [memory.place("EVIDENCE", to_device(evidence, case.dtype))]
    arguments += [memory.place(n, p.log().numpy()) for n, p in (("INITIAL", initial), ("TRANSITIONS", transitions))]
    arguments += [memory.reserve("ALPHA", 4 * evidence.numel()), memory.reserve("NLL", 4 * batch)]
    arguments += [memory.reserve("POSTERIOR", 4 * evidence.numel())]
    emitted.launch(case, (math.ceil(batch / samples), 1, 1), [*arguments, batch, frames], memory, **options)

    return (
        relative(fetch(memory, arguments[5], evidence.shape, "fp32"), posterior),
        relative(fetch(memory, arguments[4], (batch,), "fp32"), losses.detach()),
    )


@pytest.mark.parametrize("case", PHASE_ORDER, ids=str)
def test_phase_order(case: Case, emitted: Emitted) -> None:
    assert max(run_phase_order(case, emitted)) <= TOLERANCE["fp32"]


def run_mass(case: Case, emitted: Emitted, **options: Any) -> tuple[Tensor, list[Tensor], GlobalMemory]:
    """Values, their signed and absolute sums by row, and the memory."""
    constants = emitted.constants(case)
    rows, columns = 3, constants["STEPS"] * constants["LANES"] + 704
    generator = torch.Generator().manual_seed(2)
    values = rounded(torch.randn(rows, columns, generator=generator), case.dtype)
    memory = GlobalMemory()
    x = memory.place("X", to_device(values, case.dtype))
    sums = [memory.reserve(name, 8 * rows * 2) for name in ("PARTIAL", "ABSOLUTE")]
    emitted.launch(case, (rows, 2, 1), [x, *sums, columns], memory, **options)
    return values, [torch.from_numpy(memory.fetch(a, (rows, 2), np.float64)).sum(1) for a in sums], memory


@pytest.mark.parametrize("case", MASS, ids=str)
def test_mass(case: Case, emitted: Emitted) -> None:
    values, (signed, absolute), memory = run_mass(case, emitted)
    size = values.abs().sum(1)
    assert ((signed - values.sum(1)).abs() <= 2e-7 * size).all()
    assert relative(absolute, size) <= TOLERANCE["fp32"]
    assert memory.loaded.requested == values.numel() * BYTES[case.dtype]


WALLED = Case("reaction_diffusion", "sm_90", "fp32", "fisher_kpp", "dirichlet")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param((r"(add\.s32\s+%r\d+, %r\d+), -2;", r"\1, -1;"), id="the second neighbour is the first"),
        pytest.param(("0f3F800000, 0fBF800000", "0f3F800000, 0f3F800000"), id="no odd reflection in a wall"),
        pytest.param((r"(selp\.f32\s+%r\d+, 0f3F800000), 0f00000000", r"\1, 0f3F800000"), id="a residual too many"),
        pytest.param((r"mul\.f32(\s+%r\d+, %r\d+), 0f3F000000", r"mul.f32\1, 0f3F000100"), id="half and 2e-5"),
    ],
)
def test_a_fault_in_reaction_diffusion_is_a_wrong_gradient(edit: tuple[str, str], emitted: Emitted) -> None:
    assert run_reaction_diffusion(WALLED, emitted, edit=edit).gradient > 10 * TOLERANCE["fp32"]


def test_a_dropped_mask_of_the_loss_counts_cells_beyond_the_frame(emitted: Emitted) -> None:
    run = run_reaction_diffusion(WALLED, emitted, edit=(r"selp\.f32(\s+%r\d+, %r\d+), 0f00000000, %p\d+", r"mov.f32\1"))
    assert run.gradient <= TOLERANCE["fp32"] < run.loss


def test_a_dropped_mask_of_the_store_stores_more_than_once(emitted: Emitted) -> None:
    run = run_reaction_diffusion(WALLED, emitted, edit=(r"(?s)^(.*?)@%p\d+ st\.global", r"\1st.global"))
    assert run.stored > BYTES["fp32"]


def test_a_load_issued_again_is_more_traffic_than_allowed(emitted: Emitted) -> None:
    """The last one, of every iteration."""
    run = run_reaction_diffusion(WALLED, emitted, edit=(r"(?s)^(.*)(ld\.global\.b32 .*?;)", r"\1\2\n\2"))
    assert run.gradient <= TOLERANCE["fp32"]
    assert run.loaded > run.allowed


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ((r"min\.s32(\s+%r\d+, %r\d+), %r\d+;", r"mov.b32\1;"), "out of bounds|race"),
        ((r"(ld\.global\.b32 .*%rd\d+) \+ 0", r"\1 + 4"), "out of bounds"),
        ((r"st\.global\.b32 \[ (%rd\d+) \+ 0", r"st.global.b32 [ \1 + 4"), "out of bounds|race|never written"),
        ((r"@%p\d+ st\.global\.b32 .*;", ""), "never written"),
    ],
)
def test_a_fault_in_reaction_diffusion_is_an_error(edit: tuple[str, str], message: str, emitted: Emitted) -> None:
    with pytest.raises(Fault, match=message):
        run_reaction_diffusion(WALLED, emitted, edit=edit)


def test_a_fault_in_phase_order_is_a_wrong_posterior(emitted: Emitted) -> None:
    """The constant is log2 e."""
    assert run_phase_order(PHASE_ORDER[0], emitted, edit=("0f3FB8AA3B", "0f3FB8AB3B"))[0] > 10 * TOLERANCE["fp32"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ((r"bar\.sync\s+0;", ""), "race"),
        ((r"@%p\d+ ld\.global", "ld.global"), "out of bounds"),
        ((r"@%p\d+ st\.global\.b32 .*;", ""), "never written"),
    ],
)
def test_a_fault_in_phase_order_is_an_error(edit: tuple[str, str], message: str, emitted: Emitted) -> None:
    with pytest.raises(Fault, match=message):
        run_phase_order(PHASE_ORDER[0], emitted, edit=edit)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ((r"@%p\d+ ld\.global", "ld.global"), "out of bounds"),
        ((r"bar\.sync\s+0;", ""), "race: read of what another thread wrote"),
        ((r"@%p\d+ st\.shared", "st.shared"), "out of bounds: offset 32 of shared memory"),
        ((r"st\.global\.b64 \[ (%rd\d+) \+ 0", r"st.global.b64 [ \1 + 4"), "misaligned"),
        ((r"st\.global\.b64 \[ (%rd\d+) \+ 0", r"st.global.b64 [ \1 + 8"), "out of bounds|race|never written"),
        (("add.f32", "add.rz.f32"), "unknown instructions"),
    ],
)
def test_a_fault_in_mass_is_an_error(edit: tuple[str, str], message: str, emitted: Emitted) -> None:
    with pytest.raises((Fault, Refused), match=message):
        run_mass(MASS[0], emitted, edit=edit)
