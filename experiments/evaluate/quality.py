"""Quality of unguided samples of held-out prompts, beside the simulator and the autoencoder's reconstruction.

What the judge recognises, laws, the pooled distance to truth, and content, motion and rendering apart (`reports`); then
which of the world's `goals` are met.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from physgen.experiments.draw.prompts import prompts
from physgen.experiments.draw.videos import Arms, collect, plan, produce
from physgen.experiments.evaluate import goals, reports
from physgen.experiments.evaluate.job import EvaluateConfig
from physgen.experiments.evaluate.memory import memorisation
from physgen.experiments.measure.intervals import Interval, mean_interval, plain
from physgen.experiments.measure.laws import law
from physgen.experiments.measure.recognition import distances, features, phase_order, recognised
from physgen.experiments.measure.tables import Table, publish
from physgen.experiments.pages.sheet import write_sheet
from physgen.experiments.runs.records import origin, write_json_atomic
from physgen.simulators import GRAMMARS
from physgen.worlds.loading import load
from physgen.worlds.micro.judge import Judge

ARMS = ("simulator", "reconstruction", "unguided")
ROWS = 4


def evaluate(config: EvaluateConfig, out: Path) -> None:
    """Write ``quality.json``, ``quality.md`` and ``contact-sheet.png``."""
    judge = Judge.load(Path(config.judge) if config.judge else None)
    asked = {family: prompts(family, config.n, "held_out", config.seed) for family in GRAMMARS}
    tasks = {f: plan(out, ("reference", "simulator", "unguided"), p, config.seed) for f, p in asked.items()}
    produce(config.world, interleave(list(tasks.values())), processes=config.processes)

    torch.set_num_threads(1)
    world = load(config.world, "cpu") if config.trained else None
    result: dict[str, Any] = {}
    vectors: dict[str, list[np.ndarray]] = {}
    rows = []
    for family in tqdm(GRAMMARS, desc="measure", unit="family"):
        arms = collect(tasks[family])
        own = {arm: features(judge, video) for arm, video in arms.videos.items()}
        for arm, values in own.items():
            vectors.setdefault(arm, []).append(values)
        result[family] = {
            "recognised": {arm: recognition(judge, arms, own[arm]) for arm in ARMS},
            "laws": {arm: violations(judge, family, arms, arm) for arm in ARMS},
            "distance": {arm: plain(distances(own[arm], own["reference"], config.seed)) for arm in ARMS},
        }
        read = {arm: reports.read(judge, arms.prompts, video, own[arm]) for arm, video in arms.videos.items()}
        result[family] |= reports.report(read, "reference", arms.prompts, config.seed)
        if world and config.trained:
            trained = Path(config.trained).expanduser()
            result[family]["memory"] = memorisation(world, trained, family, arms.latents, config.seed)
        rows += [(p.caption, v) for p, v in zip(arms.prompts[:ROWS], arms.videos["unguided"], strict=False)]
    pooled = {arm: np.concatenate(parts) for arm, parts in vectors.items()}
    result["all"] = {
        "recognised": {arm: average(result, arm) for arm in ARMS},
        "distance": {arm: plain(distances(pooled[arm], pooled["reference"], config.seed)) for arm in ARMS},
    }
    write_sheet(out / "contact-sheet.png", rows)
    reached = goals.reached(result, tuple(GRAMMARS))
    publish(out / "quality.md", [goals.table(reached), *tables(result), *reports.tables(result, list(GRAMMARS), ARMS)])
    about = {**origin(config.world), "n": config.n, "seed": config.seed}
    write_json_atomic(out / "quality.json", {**about, "goals": reached, "families": result})


def interleave(parts: list[list[Any]]) -> list[Any]:
    """One of each part in turn, so that every process gets the same share of each family and arm.

    >>> interleave([[1, 2, 3], [4, 5, 6]])
    [1, 4, 2, 5, 3, 6]
    """
    return [item for row in zip(*parts, strict=True) for item in row]


def recognition(judge: Judge, arms: Arms, vectors: np.ndarray) -> dict[str, dict[str, float]]:
    """Share of videos in which the family and each attribute was recognised, with intervals."""
    return {name: asdict(mean_interval(hits)) for name, hits in recognised(judge, arms.prompts, vectors).items()}


def violations(judge: Judge, family: str, arms: Arms, arm: str) -> dict[str, dict[str, float]]:
    """Mean, interval and median of each law's violation; for mitosis of the order of phases."""
    videos = arms.videos[arm]
    if family == "mitosis":
        return {name: summary(values) for name, values in phase_order(judge, videos).items()}
    truths = arms.parameters if arm != "unguided" else [None] * len(videos)
    rows = [
        law(family, prompt.attributes, video, truth)
        for prompt, video, truth in zip(arms.prompts, videos, truths, strict=True)
    ]
    return {name: summary(np.array([row[name] for row in rows])) for name in rows[0]}


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean with interval, and median."""
    return {**asdict(mean_interval(values)), "median": float(np.median(values))}


def average(result: dict[str, Any], arm: str) -> dict[str, float]:
    """Mean over the families of what was recognised."""
    return {
        name: float(np.mean([result[f]["recognised"][arm][name]["estimate"] for f in GRAMMARS]))
        for name in ("family", "attributes")
    }


def interval(found: dict[str, float]) -> Interval:
    """Back from a dictionary."""
    return Interval(found["estimate"], found["low"], found["high"])


def tables(result: dict[str, Any]) -> list[Table]:
    """What the document shows."""
    recognition_rows = [
        [family, name, *(interval(result[family]["recognised"][arm][name]) for arm in ARMS)]
        for family in GRAMMARS
        for name in result[family]["recognised"][ARMS[0]]
    ] + [["all", name, *(result["all"]["recognised"][arm][name] for arm in ARMS)] for name in ("family", "attributes")]
    law_rows = [
        [
            family,
            name,
            *(interval(result[family]["laws"][a][name]) if name in result[family]["laws"][a] else "" for a in ARMS),
        ]
        for family in GRAMMARS
        for name in result[family]["laws"]["simulator"]
    ]
    distance_rows = [
        [family, name, *(interval(result[family]["distance"][arm][name]) for arm in ARMS)]
        for family in [*GRAMMARS, "all"]
        for name in ("mmd2", "frechet")
    ]
    found = [
        Table("Recognised by the judge (share of videos)", ["family", "what", *ARMS], recognition_rows),
        Table("Violation of each law (mean)", ["family", "law", *ARMS], law_rows),
        Table("Distance to simulator videos of the same prompts", ["family", "distance", *ARMS], distance_rows),
    ]
    memory = {family: result[family]["memory"] for family in GRAMMARS if "memory" in result[family]}
    if memory:
        memory_rows = [
            [
                family,
                interval(m["flow_loss_train"]),
                interval(m["flow_loss_validation"]),
                *(m["nearest_training_clip"][arm] for arm in ("training", "simulator", "unguided")),
                m["near"],
            ]
            for family, m in memory.items()
        ]
        nearest = [f"nearest: {name}" for name in ("training", "simulator", "sample")]
        columns = ["family", "loss, training", "loss, held out", *nearest, "near"]
        found.append(Table("Loss, and distance to the nearest training clip", columns, memory_rows))
    return found
