"""Every arm on every initial condition of the heat mixture, resumed where a killed run stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import torch

from physgen.experiments.measure.intervals import Interval
from physgen.experiments.measure.tables import Table, publish
from physgen.experiments.posterior.heat.arms import ARMS, PLAIN, SHIFT, Case
from physgen.experiments.posterior.heat.distances import distances
from physgen.experiments.posterior.heat.linear import Linear
from physgen.experiments.posterior.heat.mixture import Conditioned, Mixture
from physgen.experiments.posterior.heat.videos import (
    FRAMES,
    constraint_matrix,
    heat_constraints,
    heat_mixture,
    heat_posterior,
    initial_condition,
)
from physgen.experiments.posterior.network import Counted
from physgen.experiments.runs.progress import Record, read_records, write_records

#: columns of the table that are distances, and their names there
DISTANCES = {"mmse": "MMSE", "smse": "SMSE", "sw2": "SW2", "tv": "TV"}
REFERENCE, FLOOR = "unguided", "exact draws"


def measure(
    name: str, prior: Mixture, posterior: Conditioned, seed: int, n: int, steps: int, plain: bool = False
) -> Record:
    """One arm on one initial condition."""
    initial = initial_condition(prior, seed)
    law = Linear(constraint_matrix(), torch.cat([initial, initial.new_zeros(FRAMES - 1)]))
    noise = torch.randn(n, prior.size, generator=torch.Generator().manual_seed(seed + 3_000_000), dtype=torch.float64)
    network = Counted(prior.velocity)
    generator = torch.Generator().manual_seed(seed + 1_000_000)
    laws, shift = heat_constraints(initial), 1.0 if plain else SHIFT
    case = Case(prior, posterior, laws, law, network, noise, steps, generator, shift)
    started = time.perf_counter()
    x = (PLAIN if plain else ARMS)[name](case)
    seconds = time.perf_counter() - started
    return {
        "arm": name,
        "seed": seed,
        **asdict(distances(posterior, x, seed + 2_000_000)),
        "residual": float(law.residual(x).abs().max()),
        "nfe": network.evaluations,
        "vjp": network.backward_passes,
        "seconds": seconds,
    }


def run_heat(seeds: Sequence[int], n: int, steps: int, out: Path, plain: bool = False) -> None:
    """Fill ``heat.json``, then write ``heat.md`` and ``heat.png`` and print the table.

    ``plain``: nothing is set, and the files are called ``plain``.
    """
    problem = "plain" if plain else "heat"
    store, arms = out / f"{problem}.json", list(PLAIN if plain else ARMS)
    records = read_records(store)
    done = {(record["arm"], record["seed"]) for record in records}
    prior = heat_mixture()
    for seed in seeds:
        missing = [name for name in arms if (name, seed) not in done]
        if not missing:
            continue
        posterior = heat_posterior(prior, initial_condition(prior, seed))
        for name in missing:
            records.append(measure(name, prior, posterior, seed, n, steps, plain))
            write_records(store, records)
    publish(out / f"{problem}.md", [table(records, arms, seeds, n, steps)])
    draw(records, arms, out / f"{problem}.png")


def table(records: Sequence[Record], arms: Sequence[str], seeds: Sequence[int], n: int, steps: int) -> Table:
    """Means over the initial conditions, the largest residual, and time over that of the unguided sampler."""
    seconds = {record["seed"]: record["seconds"] for record in records if record["arm"] == REFERENCE}
    rows = []
    for name in arms:
        mine = [record for record in records if record["arm"] == name]
        columns = {key: [record[key] for record in mine] for key in DISTANCES}
        spread = [
            Interval(mean(values), min(values), max(values)) if key == "sw2" else mean(values)
            for key, values in columns.items()
        ]
        ratio = mean(record["seconds"] / seconds[record["seed"]] for record in mine)
        calls = [str(max(record[key] for record in mine)) if name != FLOOR else "-" for key in ("nfe", "vjp")]
        worst = max(record["residual"] for record in mine)
        rows.append([name, *spread, worst, *calls, ratio if name != FLOOR else "-"])
    title = (
        f"heat equation with unknown diffusivity: {n} samples of each of {len(seeds)} initial conditions, at most "
        f"{steps} network evaluations; all but the exact draws end with a projection"
    )
    heads = ["sampler", *DISTANCES.values(), "residual", "NFE", "VJP", "time"]
    return Table(title, heads, rows)


def draw(records: Sequence[Record], arms: Sequence[str], path: Path) -> None:
    """Sliced distance of every arm and initial condition, over the floor of exact draws."""
    from matplotlib.figure import Figure

    figure = Figure((9, 0.4 * len(arms) + 1.2), layout="constrained")
    axes = figure.subplots()
    names = arms[::-1]
    for height, name in enumerate(names):
        values = [record["sw2"] for record in records if record["arm"] == name]
        axes.plot(values, [height] * len(values), "o", color="#0072b2", alpha=0.4, markeredgewidth=0)
        axes.plot([mean(values)], [height], "|", color="black", markersize=14, markeredgewidth=2)
    axes.axvline(mean(record["sw2"] for record in records if record["arm"] == FLOOR), color="#d55e00", linestyle="--")
    axes.set(xscale="log", xlim=(1e-3, 2), xlabel="sliced Wasserstein-2 to the exact posterior (dashed: exact draws)")
    axes.set_yticks(range(len(names)), names)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
