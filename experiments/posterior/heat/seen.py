"""A few noisy values of a diffusing line: samples against the exact posterior, and whether their bands hold it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from physgen.constraints import Observed
from physgen.ensemble import Ensemble
from physgen.experiments.measure.intervals import Interval
from physgen.experiments.measure.tables import Table, publish
from physgen.experiments.posterior.heat.arms import SHIFT
from physgen.experiments.posterior.heat.distances import sliced_wasserstein
from physgen.experiments.posterior.heat.mixture import Conditioned, Mixture
from physgen.experiments.posterior.heat.videos import SHAPE, heat_mixture
from physgen.experiments.posterior.levels import levels
from physgen.experiments.posterior.network import Counted
from physgen.experiments.runs.progress import Record, read_records, write_records
from physgen.guidance import DPS
from physgen.sampling.flow import sample_flow

#: part of the values that is seen, its noise, and exact draws that coverage is counted on
SEEN, NOISE, DRAWS = 0.1, 0.05, 2000
#: samples of the bands
MEMBERS = 16
EXACT, FREE = "exact draws", "unguided"


@dataclass(frozen=True)
class Problem:
    """What was seen of one draw from the prior, and the exact posterior given that."""

    prior: Mixture
    posterior: Conditioned
    seen: Observed


def problem(prior: Mixture, seed: int) -> Problem:
    """One draw, a tenth of its values, with noise of 0.05."""
    generator = torch.Generator().manual_seed(seed)
    truth = prior.sample(1, generator)[0]
    mask: Bool[Tensor, "N"] = torch.rand(prior.size, generator=generator) < SEEN
    values = truth + NOISE * torch.randn(prior.size, generator=generator, dtype=truth.dtype)
    jacobian = torch.eye(prior.size, dtype=truth.dtype)[mask]
    posterior = Conditioned(prior, jacobian, values[mask], NOISE)
    return Problem(prior, posterior, Observed(values.view(SHAPE), mask.view(SHAPE), NOISE))


def exact(asked: Problem, n: int, steps: int, generator: torch.Generator, network: Counted) -> Float[Tensor, "n N"]:
    """Draws from the posterior."""
    return asked.posterior.sample(n, generator)


def guided(
    asked: Problem,
    n: int,
    steps: int,
    generator: torch.Generator,
    network: Counted,
    *,
    renoise: float | None = None,
    jacobian: str = "backward",
) -> Float[Tensor, "n N"]:
    """`DPS` towards what was seen; without ``renoise`` nothing guides. A backward pass counts as two evaluations."""
    cost = 1 if renoise is None else 3 if jacobian == "backward" else 2
    guidance = None if renoise is None else DPS({"seen": asked.seen}, renoise=renoise, jacobian=jacobian)
    noise = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    found = sample_flow(
        lambda x, sigma: network(x.flatten(1), sigma).unflatten(1, SHAPE),
        noise,
        torch.tensor(levels(steps // cost, SHIFT), dtype=noise.dtype),
        guidance=guidance,
        generator=generator,
    )
    return found.flatten(1)


Sampler = Callable[[Problem, int, int, torch.Generator, Counted], Tensor]

#: names in the table, in its order
ARMS: dict[str, Sampler] = {
    EXACT: exact,
    FREE: guided,
    **{f"DPS, new noise {eta:g}": partial(guided, renoise=eta) for eta in (0.0, 0.3, 0.9)},
    "DPS, forward, new noise 0.9": partial(guided, renoise=0.9, jacobian="forward"),
}


def measure(name: str, prior: Mixture, seed: int, n: int, steps: int) -> Record:
    """One arm on one draw: distance, and the probability of the exact posterior within bands of 16 samples."""
    asked, network = problem(prior, seed), Counted(prior.velocity)
    began = time.perf_counter()
    x = ARMS[name](asked, n, steps, torch.Generator().manual_seed(seed + 1_000_000), network)
    seconds = time.perf_counter() - began
    draws = asked.posterior.sample(DRAWS, torch.Generator().manual_seed(seed + 2_000_000))
    held = {}
    for level in (0.5, 0.9):
        bands = [Ensemble(part).band(level) for part in x.split(MEMBERS) if len(part) == MEMBERS]
        inside = [((draws >= low) & (draws <= high)).double().mean() for low, high in bands]
        held[f"cover{100 * level:.0f}"] = float(torch.stack(inside).mean())
    return {
        "arm": name,
        "seed": seed,
        "sw2": sliced_wasserstein(x, draws[:n]),
        "mean": float((x.mean(0) - asked.posterior.mean).square().mean().sqrt()),
        "spread": float(x.std(0).square().mean().sqrt() / asked.posterior.std.square().mean().sqrt()),
        **held,
        "nfe": network.evaluations,
        "vjp": network.backward_passes,
        "seconds": seconds,
    }


def run_seen(seeds: Sequence[int], n: int, steps: int, out: Path) -> None:
    """Fill ``seen.json``, then write ``seen.md`` and print the table."""
    store = out / "seen.json"
    records, prior = read_records(store), heat_mixture()
    done = {(record["arm"], record["seed"]) for record in records}
    for seed in seeds:
        for name in ARMS:
            if (name, seed) not in done:
                records.append(measure(name, prior, seed, n, steps))
                write_records(store, records)
    publish(out / "seen.md", [table(records, seeds, n, steps)])


def table(records: Sequence[Record], seeds: Sequence[int], n: int, steps: int) -> Table:
    """Means over the draws, with the least and the largest in brackets."""
    rows = []
    for name in ARMS:
        mine = [record for record in records if record["arm"] == name]
        row: list[str | float | Interval] = [name]
        for key in ("sw2", "mean", "spread", "cover50", "cover90"):
            values = [record[key] for record in mine]
            row.append(Interval(mean(values), min(values), max(values)))
        row += [str(max(record[key] for record in mine)) if name != EXACT else "-" for key in ("nfe", "vjp")]
        rows.append(row)
    due = Ensemble(torch.zeros(MEMBERS, 1)).coverage(0.9)
    title = (
        f"a tenth of the values of a diffusing line, noise {NOISE}: {n} samples of each of {len(seeds)} draws, {steps} "
        f"evaluations, a backward pass counts two; bands are of {MEMBERS} samples (exact draws: 0.5 and {due:.2f})"
    )
    heads = ["sampler", "SW2", "error of the mean", "spread / exact", "in 50 %", "in 90 %", "NFE", "VJP"]
    return Table(title, heads, rows)
