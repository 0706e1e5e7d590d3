"""What the fine-tuned models and the untuned one draw from the same noise of held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from physgen.constraints import MassConservation
from physgen.drawn import AFTERWARDS, GUIDED, UNGUIDED
from physgen.experiments.draw.prompts import Prompt, prompts
from physgen.experiments.draw.references import project
from physgen.experiments.draw.videos import collect, plan, produce
from physgen.experiments.finetune.measure import Array, MeasuredModel, held_out_loss, measure
from physgen.experiments.finetune.options import FinetuneConfig
from physgen.experiments.finetune.paired import summarise, tables
from physgen.experiments.finetune.train import TrainingArm
from physgen.experiments.measure.recognition import features
from physgen.experiments.measure.tables import publish
from physgen.experiments.runs.records import origin, write_json_atomic
from physgen.experiments.train.data import Shard
from physgen.simulators import GRAMMARS
from physgen.worlds import load_checkpoint
from physgen.worlds.loading import load
from physgen.worlds.micro.judge import Judge

#: the LoRA of each model on top of the world's own weights, by arm and training seed; None as it was
Models = dict[tuple[str, int], Path | None]
#: what each arm is called once its videos are projected
PROJECTED = {UNGUIDED: AFTERWARDS, GUIDED: "guided + projection"}


def compare(config: FinetuneConfig, out: Path, shards: list[Shard], arms: list[TrainingArm]) -> None:
    """Write ``metrics.json`` and ``finetune.md``: losses on held-out clips and, with ``n``, what samples violate."""
    torch.set_num_threads(1)
    models = models_of(arms)
    found = losses(config, out, shards, models)
    reference = None
    if config.n:
        asked = prompts(config.family, config.n * len(GRAMMARS[config.family]), "held_out", 0)
        reference, floors = truth(config, out, asked)
        found += floors
        for (model, seed), lora in models.items():
            found += drawn(config, out, model, seed, lora, asked)
    write(config, out, found, reference, {"prompts": config.n and len(asked)})


def models_of(arms: list[TrainingArm]) -> Models:
    """The model as it was and each that was trained from it."""
    return {("untuned", 0): None, **{(arm.name, arm.seed): arm.file for arm in arms}}


def losses(config: FinetuneConfig, out: Path, shards: list[Shard], models: Models) -> list[MeasuredModel]:
    """Flow-matching losses on the held-out clips."""
    found = []
    for (model, seed), lora in tqdm(models.items(), desc="held out"):
        world = load(config.world, "cpu")
        if lora:
            load_checkpoint(world.pipe, lora)
        found.append(held_out_loss(world, model, seed, out, shards, config.family))
    return found


def write(
    config: FinetuneConfig, out: Path, found: list[MeasuredModel], reference: Array | None, about: Mapping[str, Any]
) -> None:
    """Write ``finetune.md`` and, last, ``metrics.json``."""
    result = summarise(found, reference)
    publish(out / "finetune.md", tables(result))
    run = {**origin(config.world), "clips": config.validation, "training_seeds": config.seeds}
    write_json_atomic(out / "metrics.json", {**run, **about, **result})


def truth(config: FinetuneConfig, out: Path, asked: list[Prompt]) -> tuple[Array, list[MeasuredModel]]:
    """Features of simulator videos of the prompts, and figures of others and of their reconstructions."""
    tasks, judge = plan(out, ("reference", "simulator"), asked, 0), Judge.load()
    produce(config.world, tasks, processes=config.processes)
    videos = collect(tasks).videos
    floors = [measure(arm, "data", 0, asked, videos[arm], judge) for arm in ("simulator", "reconstruction")]
    return features(judge, videos["reference"]), floors


def drawn(
    config: FinetuneConfig, out: Path, model: str, seed: int, lora: Path | None, asked: list[Prompt]
) -> list[MeasuredModel]:
    """Figures of a model's samples: as they are, projected and, for mass, guided on the way."""
    constraints, judge = config.constraints(), Judge.load()
    guidable = bool(constraints) and all(
        isinstance(constraint, MassConservation) for constraint in constraints.values()
    )
    arms = (UNGUIDED, GUIDED) if guidable else (UNGUIDED,)
    tasks = plan(out / f"{model}-{seed}", arms, asked, 0)
    produce(config.world, tasks, processes=config.processes, lora=lora)
    videos = collect(tasks).videos
    if constraints:
        for arm in arms:
            pairs = zip(asked, videos[arm].split(1), strict=True)
            videos[PROJECTED[arm]] = torch.cat([project(config.world, constraints, p, v) for p, v in pairs])
    return [measure(model, arm, seed, asked, video, judge) for arm, video in videos.items()]
