"""One sampler on one held-out start of the line: errors, residuals, what it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.posterior.levels import levels
from physgen.experiments.posterior.network import Counted
from physgen.experiments.posterior.reaction.arms import ARMS, UNGUIDED, Task
from physgen.experiments.posterior.reaction.data import CELLS, FRAMES, Case, draws, simulate
from physgen.experiments.posterior.reaction.laws import full_laws, largest, main_laws
from physgen.experiments.posterior.reaction.metric import Ensemble
from physgen.experiments.posterior.reaction.model import SPREAD, Frames, to_fields, to_samples
from physgen.experiments.runs.progress import Record
from physgen.sampling.flow import sample_flow

#: rows that the unguided arm gives besides its own
PROJECTED, FLOOR = "unguided, projected", "exact draws"
#: unguided samples behind the metric, and their steps; made once for all starts
MEMBERS, MEMBER_STEPS = 512, 25


@dataclass(frozen=True)
class Knowledge:
    """What is known of a start, and all that may follow from it."""

    name: str
    laws: Callable[[Case], dict[str, Equality]]
    truth: Callable[[Case], Float[Tensor, "N 1 T X"]]


GROWTH = Knowledge("growth", main_laws, lambda found: found.truth)
EQUATION = Knowledge("equation", full_laws, lambda found: simulate(found.u0[None], found.diffusivity, found.rate))


def errors(truth: Float[Tensor, "N 1 T X"], u: Float[Tensor, "B 1 T X"]) -> dict[str, float]:
    """Mean squared errors of the mean and of the standard deviation at each point, over all points.

    Source: Cheng et al., arXiv:2412.01786, MMSE and SMSE.

    >>> truth = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    >>> errors(truth, truth + 1.0)
    {'mmse': 1.0, 'smse': 0.0}
    """

    def spread(x: Tensor) -> Tensor:
        return x.std(0, correction=min(1, len(x) - 1))

    u, truth = u.double(), truth.double()
    return {
        "mmse": float((u.mean(0) - truth.mean(0)).square().mean()),
        "smse": float((spread(u) - spread(truth)).square().mean()),
    }


def noise(seed: int, n: int) -> Float[Tensor, "n 1 T X"]:
    """The noise that every arm starts from."""
    return torch.randn(n, 1, FRAMES, CELLS, generator=torch.Generator().manual_seed(seed + 3_000_000))


def ensemble(model: Frames, members: int = MEMBERS) -> Ensemble:
    """Of unguided samples."""
    with torch.no_grad():
        return Ensemble.of(sample_flow(model, noise(-1, members), torch.tensor(levels(MEMBER_STEPS))))


def measure(
    name: str, known: Knowledge, model: Frames, metric: Ensemble, found: Case, seed: int, n: int, steps: int
) -> list[Record]:
    """One arm, projected at the end; the unguided one also as it is, with exact draws. Seconds are the CPU's."""
    laws, truth = known.laws(found), known.truth(found)
    network = Counted(model)
    task = Task(network, laws, noise(seed, n), steps, torch.Generator().manual_seed(seed + 1_000_000), metric)
    started = time.process_time()
    x = ARMS[name](task)
    sampled = time.process_time()
    projected = task.project(x)
    ended = time.process_time()

    def record(row: str, samples: Tensor, moved: Tensor, seconds: float) -> Record:
        return {
            "known": known.name,
            "arm": row,
            "seed": seed,
            **errors(truth, to_fields(samples)),
            "residuals": largest(laws, samples),
            "before": max(largest(laws, x).values()),
            "moved": SPREAD * float(moved.double().square().mean().sqrt()),
            "nfe": network.evaluations,
            "vjp": network.backward_passes,
            "seconds": seconds,
        }

    if name != UNGUIDED:
        return [record(name, projected, projected - x, ended - started)]
    rows = [
        record(UNGUIDED, x, 0 * x, sampled - started),
        record(PROJECTED, projected, projected - x, ended - started),
    ]
    if known is GROWTH:
        exact = to_samples(draws(found, n, seed))
        rows.append({**record(FLOOR, exact, 0 * exact, 0.0), "nfe": 0, "before": 0.0})
    return rows
