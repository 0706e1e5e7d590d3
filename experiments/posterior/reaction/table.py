"""Every arm on every held-out start of the line, resumed where a killed run stopped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from physgen.experiments.measure.intervals import Interval, mean_interval
from physgen.experiments.measure.tables import Table, publish
from physgen.experiments.posterior.reaction.arms import ARMS, OURS, PUBLISHED, UNGUIDED
from physgen.experiments.posterior.reaction.data import TRUTHS, case
from physgen.experiments.posterior.reaction.figure import draw
from physgen.experiments.posterior.reaction.measure import (
    EQUATION,
    FLOOR,
    GROWTH,
    MEMBERS,
    PROJECTED,
    Knowledge,
    ensemble,
    measure,
)
from physgen.experiments.posterior.reaction.model import WEIGHTS, load_model
from physgen.experiments.runs.progress import Record, read_records, write_records

ROWS = (FLOOR, UNGUIDED, PROJECTED, *list(ARMS)[1:])
#: where the whole equation is known one trajectory is left, and dense Jacobians take seconds a sample
FEW, SHORT = 2, 10
EQUATION_ARMS = (UNGUIDED, "PCFM, lambda 0", "projection, eta 0", "metric projection, eta 0.3")


def run(
    seeds: Sequence[int],
    n: int,
    steps: int,
    out: Path,
    *,
    arms: Sequence[str] = tuple(ARMS),
    equation_arms: Sequence[str] = EQUATION_ARMS,
    weights: Path = WEIGHTS,
    truths: int = TRUTHS,
) -> None:
    """Fill ``reaction.json``, then write ``reaction.md`` and ``reaction.png`` and print the tables.

    ``truths`` trajectories of every start say what the mean and the spread should be.

    Raises: FileNotFoundError: no weights of the model.
    """
    out.mkdir(parents=True, exist_ok=True)
    store = out / "reaction.json"
    records = read_records(store)
    model = load_model(weights)
    metric = ensemble(model, min(MEMBERS, 8 * n))
    few, short = min(n, FEW), min(steps, SHORT)
    jobs: list[tuple[Knowledge, Sequence[str], int, int]] = [
        (GROWTH, arms, n, steps),
        (EQUATION, equation_arms, few, short),
    ]
    for known, names, count, evaluations in jobs:
        for seed in seeds:
            done = {one["arm"] for one in records if (one["known"], one["seed"]) == (known.name, seed)}
            missing = [name for name in names if name not in done]
            if not missing:
                continue
            found = case(seed, truths)
            for name in missing:
                records += measure(name, known, model, metric, found, seed, count, evaluations)
                write_records(store, records)
    growth, equation = ([one for one in records if one["known"] == known.name] for known in (GROWTH, EQUATION))
    tables = [
        table(f"start and growth law known: {n} samples, {steps} evaluations", growth, seeds),
        *(differences(growth, seeds, rivals) for rivals in ("PCFM", "ECI")),
        table(f"start and whole equation known: {few} samples, {short} evaluations", equation, seeds),
    ]
    publish(out / "reaction.md", [one for one in tables if one.rows])
    draw(growth, [row for row in ROWS if any(one["arm"] == row for one in growth)], out / "reaction.png")


def _column(records: Sequence[Record], name: str, key: str, seeds: Sequence[int]) -> list[float]:
    found = {one["seed"]: one[key] for one in records if one["arm"] == name}
    return [found[seed] for seed in seeds if seed in found]


def _spread(values: Sequence[float]) -> Interval:
    return Interval(mean(values), min(values), max(values))


def table(title: str, records: Sequence[Record], seeds: Sequence[int]) -> Table:
    """Means over the starts, with the smallest and the largest; residuals are the largest of all samples."""
    rows = []
    laws = sorted({law for one in records for law in one["residuals"]}, reverse=True)
    base = _column(records, UNGUIDED, "seconds", seeds)
    for name in ROWS:
        mine = [one for one in records if one["arm"] == name and one["seed"] in seeds]
        if not mine:
            continue
        residuals = [max(one["residuals"][law] for one in mine) for law in laws]
        errors = [_spread([one[key] for one in mine]) for key in ("mmse", "smse")]
        ratio = mean(a / b for a, b in zip(_column(records, name, "seconds", seeds), base, strict=True))
        calls = [str(max(one[key] for one in mine)) for key in ("nfe", "vjp")]
        before, moved = max(one["before"] for one in mine), mean(one["moved"] for one in mine)
        rows.append([name, *errors, *residuals, before, moved, *calls, "-" if name == FLOOR else ratio])
    heads = [*(f"residual, {law}" for law in laws), "before projection", "moved", "NFE", "VJP", "time"]
    of = f"{title}; {len(seeds)} starts; all but exact draws and unguided samples end with a projection"
    return Table(of, ["sampler", "MMSE", "SMSE", *heads], rows)


def differences(records: Sequence[Record], seeds: Sequence[int], peer: str) -> Table:
    """Ours less the best mode of a peer, chosen for each measure, paired by start; 95 % bootstrap intervals."""
    rivals = [name for name in PUBLISHED if name.startswith(peer) and _column(records, name, "mmse", seeds)]
    best = {
        key: min(rivals, key=lambda name, key=key: mean(_column(records, name, key, seeds)))  # type: ignore[misc]
        for key in ("mmse", "smse")
        if rivals
    }
    rows = []
    for name in OURS:
        if not best or not _column(records, name, "mmse", seeds):
            continue
        cells: list[str | Interval] = [name]
        for key, rival in best.items():
            ours, theirs = (np.array(_column(records, arm, key, seeds)) for arm in (name, rival))
            cells += [mean_interval(ours - theirs), f"{int((ours < theirs).sum())}/{len(ours)}"]
        rows.append(cells)
    heads = [head for key, rival in best.items() for head in (f"{key.upper()} less that of {rival}", "below")]
    return Table(f"paired differences from the best mode of {peer}", ["sampler", *heads], rows)


def main() -> None:
    """`python -m physgen.experiments.posterior.reaction.table --out FOLDER`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103, 104])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--equation-arms", nargs="*", default=list(EQUATION_ARMS), choices=list(ARMS))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    run(
        options.seeds,
        options.n,
        options.steps,
        options.out,
        arms=options.arms,
        equation_arms=options.equation_arms,
        weights=options.weights,
    )


if __name__ == "__main__":
    main()
