"""What a model that learned from movies draws and predicts, beside the untuned one and parts that it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.drawn import UNGUIDED
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import reconstruct
from physgen.experiments.draw.videos import collect, plan, produce
from physgen.experiments.finetune.compare import losses, models_of, write
from physgen.experiments.finetune.measure import Array, MeasuredModel
from physgen.experiments.finetune.options import FinetuneConfig
from physgen.experiments.finetune.train import TrainingArm
from physgen.experiments.pages.sheet import write_sheet
from physgen.experiments.runs.progress import Record
from physgen.experiments.train.data import Shard, Videos
from physgen.worlds import WorldSpec
from physgen.worlds.loading import load

#: videos of each kind in the picture
SHOWN = 3


def compare_movies(config: FinetuneConfig, out: Path, shards: list[Shard], arms: list[TrainingArm]) -> None:
    """Write ``metrics.json``, ``finetune.md`` and ``samples.png``: losses, what the autoencoder keeps, samples."""
    torch.set_num_threads(1)
    models = models_of(arms)
    found = losses(config, out, shards, models)
    clips = {split: Videos.open(shards, config.family, split) for split in ("train", "validation")}
    spec, count = config.world, config.n or min(SHOWN, config.clips)
    texts = clips["validation"].captions[:count]
    held_out, learned = (videos_of(one, count) for one in (clips["validation"], clips["train"]))
    world = load(spec, "cpu")
    kept = torch.cat([reconstruct(world, video[None]) for video in held_out])
    errors = rms(fields_of(spec, texts, kept) - fields_of(spec, texts, held_out))
    found.append(MeasuredModel("reconstruction", "autoencoder", 0, {"error": errors}))
    rows = [(f"held out: {text}", video) for text, video in zip(texts, held_out, strict=True)][:SHOWN]
    rows += [("the same through the autoencoder", video) for video in kept[:SHOWN]]
    reference = None
    if config.n:
        scale = statistics(fields_of(spec, texts, held_out))
        reference = vectors(scale, scale)
        asked = [Prompt(config.family, index, {}, text, index) for index, text in enumerate(texts)]
        figures = {("learned clips", 0): statistics(fields_of(spec, clips["train"].captions[:count], learned))}
        for (model, seed), lora in models.items():
            tasks = plan(out / f"{model}-{seed}", (UNGUIDED,), asked, 0)
            produce(spec, tasks, processes=config.processes, lora=lora)
            videos = collect(tasks).videos[UNGUIDED]
            figures[model, seed] = statistics(fields_of(spec, texts, videos))
            rows += [(f"{model}, {seed}: {text}", video) for text, video in zip(texts, videos, strict=True)][:SHOWN]
        found += [
            MeasuredModel(model, "samples", seed, one, vectors(one, scale)) for (model, seed), one in figures.items()
        ]
        found.append(MeasuredModel("held-out clips", "samples", 0, scale, reference))
    write_sheet(out / "samples.png", rows)
    about = {
        "samples": config.n,
        "ignored_words": sorted({word for text in set(texts) for word in world.ignored_words(text)}),
        "training": {f"{arm.name}-{arm.seed}": last_row(arm) for arm in arms},
    }
    write(config, out, found, reference, about)


def last_row(arm: TrainingArm) -> Record:
    """Steps, seconds and loss at the end of the training."""
    row: Record = json.loads((arm.folder / "lora.log.jsonl").read_text().splitlines()[-1])
    return row


def videos_of(clips: Videos, count: int) -> Float[Tensor, "N 3 T H W"]:
    """The first clips, in [0, 1]."""
    return torch.stack([torch.from_numpy(np.array(clips[index])) for index in range(count)]).float() / 255


def fields_of(spec: WorldSpec, texts: list[str], videos: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N T H W"]:
    """The first species of each video, read by its caption's colours."""
    return torch.stack([spec.observable(text)(video[None])[0, 0] for text, video in zip(texts, videos, strict=True)])


def rms(values: Float[Tensor, "N ..."]) -> Array:
    """Root mean square of each."""
    return np.asarray(values.double().flatten(1).square().mean(1).sqrt().numpy())


def statistics(fields: Float[Tensor, "N T H W"]) -> dict[str, Array]:
    """Six plain figures of each clip, in units of the fields.

    ``mean`` and ``contrast`` (standard deviation) of its brightness; ``grain``, the RMS step between neighbouring
    pixels; ``change``, that from frame to frame; ``trend``, how much brighter the last frame is than the first; and
    ``bright``, the share of pixels above 0.5. The judge of the embedded world knows its own families and no real movie.

    >>> still = statistics(torch.full((2, 3, 8, 8), 0.7))
    >>> float(still["change"][0]), float(still["bright"][1]), round(float(still["mean"][0]), 3)
    (0.0, 1.0, 0.7)
    """
    flat = fields.double().flatten(1)
    steps = torch.cat([fields.diff(dim=axis).flatten(1) for axis in (2, 3)], 1)
    found = {
        "mean": flat.mean(1),
        "contrast": flat.std(1),
        "trend": (fields[:, -1] - fields[:, 0]).double().flatten(1).mean(1),
        "bright": (flat > 0.5).double().mean(1),
    }
    return {name: np.asarray(values.numpy()) for name, values in found.items()} | {
        "grain": rms(steps),
        "change": rms(fields.diff(dim=1)),
    }


def vectors(figures: dict[str, Array], scale: dict[str, Array]) -> Array:
    """Figures of clips ``[N, 6]`` in units of their spread over the clips of ``scale``."""
    return np.stack([(figures[name] - values.mean()) / max(values.std(), 1e-6) for name, values in scale.items()], 1)
