"""Every arm on every held-out start of the line, resumed where a killed run stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Equality
from physgen.experiments.benchmark_guidance.levels import levels
from physgen.experiments.benchmark_guidance.network import Counted
from physgen.experiments.benchmark_guidance.reaction_arms import ARMS, OURS, RIVALS, UNGUIDED, Task
from physgen.experiments.benchmark_guidance.reaction_data import CELLS, FRAMES, Case, case, draws
from physgen.experiments.benchmark_guidance.reaction_figure import draw
from physgen.experiments.benchmark_guidance.reaction_laws import largest, main_laws
from physgen.experiments.benchmark_guidance.reaction_metric import Ensemble
from physgen.experiments.benchmark_guidance.reaction_model import SPREAD, Frames, load_model, to_fields, to_samples
from physgen.experiments.evaluate.tables import Table, publish
from physgen.experiments.metrics import Interval, mean_interval
from physgen.samplers import sample_flow

Record = dict[str, Any]
#: unguided samples behind the metric, and their steps; made once for all starts
MEMBERS, MEMBER_STEPS = 512, 25
PROJECTED, FLOOR = "unguided, projected", "exact draws"
ROWS = (FLOOR, UNGUIDED, PROJECTED, *list(ARMS)[1:])


def errors(truth: Float[Tensor, "N 1 T X"], u: Float[Tensor, "B 1 T X"]) -> dict[str, float]:
    """Mean squared errors of the mean and of the standard deviation at each point, over all points.

    Source: Cheng et al., arXiv:2412.01786, MMSE and SMSE.

    >>> truth = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    >>> errors(truth, truth + 1.0)
    {'mmse': 1.0, 'smse': 0.0}
    """
    u, truth = u.double(), truth.double()
    return {
        "mmse": float((u.mean(0) - truth.mean(0)).square().mean()),
        "smse": float((u.std(0) - truth.std(0)).square().mean()),
    }


def noise(seed: int, n: int) -> Float[Tensor, "n 1 T X"]:
    """The noise that every arm starts from."""
    return torch.randn(n, 1, FRAMES, CELLS, generator=torch.Generator().manual_seed(seed + 3_000_000))


def ensemble(model: Frames, members: int = MEMBERS) -> Ensemble:
    """Of unguided samples."""
    with torch.no_grad():
        return Ensemble.of(sample_flow(model, noise(-1, members), torch.tensor(levels(MEMBER_STEPS))))


def record(name: str, seed: int, found: Case, laws: dict[str, Equality], x: Tensor, **figures: float) -> Record:
    """Errors and residuals of samples."""
    residuals = {f"residual_{law}": value for law, value in largest(laws, x).items()}
    return {"arm": name, "seed": seed, **errors(found.truth, to_fields(x)), **residuals, **figures}


def measure(name: str, model: Frames, metric: Ensemble, found: Case, seed: int, n: int, steps: int) -> list[Record]:
    """One arm on one start, projected at the end; of the unguided one also as it is. Seconds are those of the CPU."""
    laws = main_laws(found)
    network = Counted(model)
    task = Task(network, laws, noise(seed, n), steps, torch.Generator().manual_seed(seed + 1_000_000), metric)
    started = time.process_time()
    x = ARMS[name](task)
    sampled = time.process_time()
    projected = task.project(x)
    calls = {"nfe": network.evaluations, "vjp": network.backward_passes}
    figures = {
        **calls,
        "moved": SPREAD * float((projected - x).double().square().mean().sqrt()),
        "before": max(largest(laws, x).values()),
        "seconds": time.process_time() - started,
    }
    if name != UNGUIDED:
        return [record(name, seed, found, laws, projected, **figures)]
    plain = {**figures, "moved": 0.0, "seconds": sampled - started}
    return [
        record(UNGUIDED, seed, found, laws, x, **plain),
        record(PROJECTED, seed, found, laws, projected, **figures),
        record(
            FLOOR,
            seed,
            found,
            laws,
            to_samples(draws(found, n, seed)),
            nfe=0,
            vjp=0,
            moved=0.0,
            before=0.0,
            seconds=0.0,
        ),
    ]


def run(seeds: Sequence[int], n: int, steps: int, out: Path, arms: Sequence[str] = tuple(ARMS)) -> list[Record]:
    """Fill ``reaction.json``, then write ``reaction.md`` and ``reaction.png`` and print the table.

    Raises: FileNotFoundError: no weights of the model.
    """
    out.mkdir(parents=True, exist_ok=True)
    store = out / "reaction.json"
    records: list[Record] = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else []
    done = {(one["arm"], one["seed"]) for one in records}
    model = load_model()
    metric: Ensemble | None = None
    for seed in seeds:
        missing = [name for name in arms if (name, seed) not in done]
        if not missing:
            continue
        metric = metric or ensemble(model, max(MEMBERS * (n >= 64), 64))
        found = case(seed)
        for name in missing:
            records += measure(name, model, metric, found, seed, n, steps)
            partial = store.with_suffix(".part")
            partial.write_text(json.dumps(records, indent=1), encoding="utf-8")
            partial.replace(store)
    publish(out / "reaction.md", [table(records, seeds, n, steps), differences(records, seeds)])
    draw(records, [row for row in ROWS if any(one["arm"] == row for one in records)], out / "reaction.png")
    return records


def _column(records: Sequence[Record], name: str, key: str, seeds: Sequence[int]) -> list[float]:
    found = {one["seed"]: one[key] for one in records if one["arm"] == name}
    return [found[seed] for seed in seeds if seed in found]


def _spread(values: Sequence[float]) -> Interval:
    return Interval(mean(values), min(values), max(values))


def table(records: Sequence[Record], seeds: Sequence[int], n: int, steps: int) -> Table:
    """Means over the starts with the smallest and the largest; residuals are the largest of all samples."""
    rows = []
    base = _column(records, UNGUIDED, "seconds", seeds)
    for name in ROWS:
        columns = {key: _column(records, name, key, seeds) for key in ("mmse", "smse", "moved", "before", "seconds")}
        if not columns["mmse"]:
            continue
        residuals = [max(_column(records, name, f"residual_{law}", seeds)) for law in ("start", "growth")]
        calls = [str(max(_column(records, name, key, seeds))) for key in ("nfe", "vjp")]
        ratio = mean(a / b for a, b in zip(columns["seconds"], base, strict=True))
        cells = [_spread(columns["mmse"]), _spread(columns["smse"]), *residuals, max(columns["before"])]
        rows.append([name, *cells, mean(columns["moved"]), *calls, ratio])
    title = (
        f"growth on a line, start and growth law known: {n} samples of each of {len(seeds)} starts, at most {steps} "
        "network evaluations; all but the exact draws and the unguided samples end with a projection"
    )
    residual = ["residual, start", "residual, growth", "before projection", "moved"]
    return Table(title, ["sampler", "MMSE", "SMSE", *residual, "NFE", "VJP", "time"], rows)


def differences(records: Sequence[Record], seeds: Sequence[int]) -> Table:
    """Ours less the better mode of PCFM, chosen for each measure, paired by start; 95 % bootstrap intervals."""
    rows = []
    rivals = [name for name in RIVALS if _column(records, name, "mmse", seeds)]
    best = {
        key: min(rivals, key=lambda name: mean(_column(records, name, key, seeds)), default="")
        for key in ("mmse", "smse")
    }
    for name in OURS:
        if not rivals or not _column(records, name, "mmse", seeds):
            continue
        cells: list[str | Interval] = [name]
        for key, rival in best.items():
            ours, theirs = (np.array(_column(records, arm, key, seeds)) for arm in (name, rival))
            cells += [mean_interval(ours - theirs), f"{int((ours < theirs).sum())}/{len(ours)}"]
        rows.append(cells)
    heads = [f"{key.upper()} less that of {rival}" for key, rival in best.items()]
    return Table("paired differences", ["sampler", heads[0], "below", heads[1], "below"], rows)
