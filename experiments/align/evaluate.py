"""The last models on held-out prompts: ``metrics.json``, ``records.json`` and ``align.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from physgen.experiments.align.compare import gather, summarise
from physgen.experiments.align.cost import BACK, Cost
from physgen.experiments.align.measure import measure_all
from physgen.experiments.align.models import BASE, BEST, Model, draw_models
from physgen.experiments.align.options import ALIGNED, AlignConfig
from physgen.experiments.align.pool import asked_in
from physgen.experiments.align.table import tables
from physgen.experiments.finetune.train import TrainingArm
from physgen.experiments.measure.intervals import plain
from physgen.experiments.measure.tables import publish
from physgen.experiments.runs.progress import Record, write_records
from physgen.experiments.runs.records import origin, write_json_atomic


def evaluate(
    config: AlignConfig,
    out: Path,
    arms: Sequence[TrainingArm],
    costs: Mapping[tuple[str, int], Cost],
    counts: Sequence[Record],
    run_id: str,
) -> None:
    """Draw, measure and compare; what is in the folder already is not made again, and ``metrics.json`` comes last."""
    torch.set_num_threads(1)
    made = mean_cost([costs[ALIGNED, seed] for seed in config.seeds])
    models = draw_models(config, out / "held-out", arms, made)
    records = measure_all(config, models, run_id)
    classes = [tuple(sorted(p.attributes.items())) or p.caption for p in asked_in(models[0].tasks)]
    result = summarise(gather(records, classes), classes)
    cost = cost_rows(config, models, costs)
    publish(out / "align.md", tables(result, cost, counts))
    write_records(out / "records.json", records)
    about = {**origin(config.world), "run": run_id, "prompts": len(classes)}
    settings = {
        "select": config.select,
        "laws": list(config.constraint),
        "training_seeds": config.seeds,
        "rounds": config.rounds,
    }
    write_json_atomic(out / "metrics.json", {**about, **settings, "cost": cost, "samples": counts, **plain(result)})


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Mean over seeds, rounded up.

    >>> mean_cost([Cost(1, 2, 3.0), Cost(2, 2, 1.0)])
    Cost(evaluations=2, trained=2, seconds=2.0)
    """
    total = sum(costs, Cost())
    return Cost(-(-total.evaluations // len(costs)), -(-total.trained // len(costs)), total.seconds / len(costs))


def cost_rows(config: AlignConfig, models: Sequence[Model], costs: Mapping[tuple[str, int], Cost]) -> list[Record]:
    """Of every model: what making it cost, what a held-out video cost, and all of it in evaluations of the network.

    ``pays_after`` are the videos after which the aligned model has cost less than as many by the best of N.
    """
    a_video = {model.name: model.cost.evaluations / config.n for model in models}
    rows: list[Record] = []
    for model in models:
        if not model.cost.evaluations:
            continue
        making = costs.get((model.name, model.seed), Cost())
        row = {"model": model.name, "seed": model.seed, **asdict(making), "making": making.total, "back": BACK}
        row |= {"a_video": a_video[model.name], "total": making.total + model.cost.evaluations}
        if model.name == ALIGNED and a_video[BEST] > a_video[BASE]:
            row["pays_after"] = making.total / (a_video[BEST] - a_video[BASE])
        rows.append(row)
    return rows
