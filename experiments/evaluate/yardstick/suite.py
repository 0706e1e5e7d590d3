"""`physgen evaluate suite=yardstick`: planted errors by metric, with power, and floors of the conditional distances."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from physgen.experiments.draw.prompts import prompts
from physgen.experiments.evaluate.job import EvaluateConfig
from physgen.experiments.evaluate.yardstick.planted import ERRORS, NOTHING
from physgen.experiments.evaluate.yardstick.pool import FEATURES, Pool, fill
from physgen.experiments.evaluate.yardstick.power import LEVEL, METRICS, floor, p_values
from physgen.experiments.measure.intervals import Interval
from physgen.experiments.measure.tables import Cell, Table, publish
from physgen.experiments.runs.records import origin, write_json_atomic
from physgen.simulators import GRAMMARS
from physgen.worlds.micro.judge import Judge

REPETITIONS = 1000
#: videos of a pool beyond four times ``n``, so that every combination of words gives pairs enough
SPARE = 8

Record = dict[str, Any]


def evaluate(config: EvaluateConfig, out: Path) -> None:
    """Write ``yardstick.json`` and ``yardstick.md``; readings and p-values that are there are not made again."""
    torch.set_num_threads(1)
    judge = Judge.load(Path(config.judge) if config.judge else None)
    sizes = (config.n, 2 * config.n)
    records: list[Record] = []
    floors: dict[str, dict[str, dict[str, float]]] = {}
    for family in GRAMMARS:
        asked = prompts(family, 4 * config.n + SPARE, "held_out", config.seed)
        pool = fill(out / "pool", asked, judge, config.seed)
        floors[family] = {
            name: asdict(floor(pool, name, sizes[-1], config.seed)) for name in FEATURES if exists(pool, name)
        }
        records += powers(pool, family, sizes, config.seed, out / "power")
    publish(out / "yardstick.md", tables(records, floors, sizes))
    about = {**origin(config.world), "n": config.n, "seed": config.seed}
    settings = {"repetitions": REPETITIONS, "level": LEVEL, "pool": 4 * config.n + SPARE}
    write_json_atomic(out / "yardstick.json", {**about, **settings, "floors": floors, "records": records})


def exists(pool: Pool, reading: str) -> bool:
    """Whether the family has such a reading."""
    return pool.read[NOTHING, reading].shape[1] > 0


def powers(pool: Pool, family: str, sizes: tuple[int, ...], seed: int, out: Path) -> list[Record]:
    """One record of each error, size and metric: repetitions in which the test says that videos differ from truth."""
    out.mkdir(parents=True, exist_ok=True)
    found: list[Record] = []
    for error in tqdm(pool.errors, family, unit="error", disable=None):
        for n in sizes:
            path = out / f"{family}-{list(ERRORS).index(error)}-{n}.json"
            if not path.exists():
                write_json_atomic(path, p_values(pool, error, n, REPETITIONS, seed))
            for metric, values in json.loads(path.read_text(encoding="utf-8")).items():
                told = sum(p <= LEVEL for p in values)
                of = {"repetitions": len(values), "told": told, "median_p": float(np.median(values))}
                found.append({"family": family, "error": error, "n": n, "metric": metric, **of})
    return found


def tables(
    records: list[Record], floors: dict[str, dict[str, dict[str, float]]], sizes: tuple[int, ...]
) -> list[Table]:
    """Power over the families for each size, by family for the larger one, and the floors."""
    found = [
        Table(
            f"Share of repetitions told from truth, n = {n} a family",
            ["planted", *METRICS],
            [[error, *(pooled(records, error, n, metric, None) for metric in METRICS)] for error in ERRORS],
        )
        for n in sizes
    ]
    by_family: list[list[Cell]] = [
        [error, family, *(pooled(records, error, sizes[-1], metric, family) for metric in METRICS)]
        for error in ERRORS
        for family in GRAMMARS
        if any(r["error"] == error and r["family"] == family for r in records)
    ]
    floor_rows: list[list[Cell]] = [
        [family, *(interval(floors[family].get(name)) for name in FEATURES)] for family in GRAMMARS
    ]
    return [
        *found,
        Table(f"The same by family, n = {sizes[-1]}", ["planted", "family", *METRICS], by_family),
        Table(
            f"Floors: conditional MMD² of simulator and simulator, n = {sizes[-1]}", ["family", *FEATURES], floor_rows
        ),
    ]


def pooled(records: list[Record], error: str, n: int, metric: str, family: str | None) -> Cell:
    """Share told over the families, or in one, ``""`` where no family has it."""
    mine = [
        r for r in records if (r["error"], r["n"], r["metric"]) == (error, n, metric) and family in (None, r["family"])
    ]
    return sum(r["told"] for r in mine) / sum(r["repetitions"] for r in mine) if mine else ""


def interval(found: dict[str, float] | None) -> Cell:
    """Back from a dictionary; empty where there is none."""
    return Interval(found["estimate"], found["low"], found["high"]) if found else ""
