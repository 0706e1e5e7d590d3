"""The Triton kernel on Triton's interpreter against the float64 reference; as a script, what runs there."""

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from interpreter import interpret
from markers import slow_except
from random_systems import random_system

from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.grid import Grid
from physgen.ops.reaction_diffusion import reaction_diffusion_loss
from physgen.stencil import WALLS

#: B, T, H, W: smaller than a tile, larger, one cell wide, chunks of time
SHAPES = [(2, 3, 5, 7), (1, 2, 1, 9), (1, 5, 17, 1), (1, 2, 2, 2), (1, 9, 11, 33)]
RANDOM = range(6)
Case = tuple[str, tuple[int, ...], str, torch.dtype]
CASES: list[Case] = [
    *itertools.product(["gray_scott"], SHAPES, WALLS, [torch.float32]),
    *itertools.product(SYSTEMS, [(1, 2, 5, 7)], ["dirichlet"], [torch.float32]),
    *itertools.product([f"random {seed}" for seed in RANDOM], [(1, 2, 5, 7)], ["no-flux"], [torch.float32]),
    *itertools.product(["gray_scott", "hill_inhibition"], [(2, 3, 5, 7)], ["no-flux"], [torch.bfloat16]),
]
QUICK: list[Case] = [
    *itertools.product(["gray_scott"], SHAPES[:1], ["no-flux"], [torch.float32]),
    ("gray_scott", SHAPES[-1], "no-flux", torch.float32),
    ("michaelis_menten", (1, 2, 5, 7), "dirichlet", torch.float32),
    ("random 0", (1, 2, 5, 7), "no-flux", torch.float32),
    ("gray_scott", (2, 3, 5, 7), "no-flux", torch.bfloat16),
]
GROUPS = {"quick": QUICK, "slow": [case for case in CASES if case not in QUICK]}


def problem(case: Case) -> tuple[Tensor, dict[str, Any]]:
    name, shape, boundary, dtype = case
    if name.startswith("random"):
        system, values = random_system(int(name.split()[1]))
    else:
        system, values = reaction_system(name), SYSTEMS[name].values
    generator = torch.Generator().manual_seed(0)
    species = len(system.species)
    u = torch.rand((shape[0], species, *shape[1:]), generator=generator, dtype=torch.float64).to(dtype)
    return u, {
        "system": system,
        "diffusivity": {s: 0.3 + 0.1 * i for i, s in enumerate(system.species)},
        "parameters": values,
        "grid": Grid((1.3, 0.7), 0.5, boundary),
        "weight": 0.5 + torch.rand(shape[0], species, generator=generator),
        "wall": {s: 0.2 + 0.1 * i for i, s in enumerate(system.species)},
    }


def loss_and_gradient(u: Tensor, backend: str, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
    u = u.clone().requires_grad_()
    loss = reaction_diffusion_loss(u, backend=backend, **arguments)
    (gradient,) = torch.autograd.grad(loss.sum(), u)
    return loss.detach(), gradient


@pytest.mark.parametrize("case", slow_except(QUICK, CASES), ids=lambda case: "-".join(map(str, case)))
def test_interpreted_kernel_agrees_with_float64(case: Case) -> None:
    u, arguments = problem(case)
    expected, exact = loss_and_gradient(u.double(), "reference", arguments)
    group = "quick" if case in QUICK else "slow"
    loss, gradient = interpret(__file__, group)[GROUPS[group].index(case)]
    rounding = 2**-8 if u.dtype == torch.bfloat16 else 4e-7
    assert gradient.dtype == u.dtype
    assert float((loss - expected).norm() / expected.norm()) < 4e-7
    assert float((gradient - exact).norm() / exact.norm()) < rounding


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = []
    for case in GROUPS[sys.argv[2]]:
        u, arguments = problem(case)
        loss, gradient = loss_and_gradient(u, "triton", arguments)
        found.append((loss, gradient))
    torch.save(found, sys.argv[1])
