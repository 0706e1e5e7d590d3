"""Does the model remember or has it learned: flow-matching loss on new clips, distance to the nearest training clip."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from physgen.experiments.measure.intervals import mean_interval
from physgen.experiments.train.transformer import TextToLatents, shifted, velocity_loss
from physgen.worlds import World
from physgen.worlds.micro.text import MAX_WORDS

#: clips of each family and split for the loss, how many go through the model at a time, and clips held apart
CLIPS, BATCH, APART = 96, 16, 300


class Packed(TextToLatents):
    """The parts of a packed world as the training loop calls them."""

    def __init__(self, world: World) -> None:
        nn.Module.__init__(self)
        self.transformer = world.pipe.transformer
        self.text_encoder = world.pipe.text_encoder


def stored(world: World, trained: Path, family: str, split: str) -> Tensor:
    """Latents of a split that `physgen train` kept, normalised, in half precision."""
    files = sorted((trained / "latents" / family).glob(f"{split}-*.pt"))
    return torch.cat([world.normalise(torch.load(file, weights_only=True)).half() for file in files])


def captions(trained: Path, family: str, split: str) -> list[str]:
    """Captions of the first clips of a split."""
    files = sorted((trained / "data" / family).glob(f"{split}-*.json"))
    return [row["caption"] for file in files for row in json.loads(file.read_text(encoding="utf-8"))]


def flow_losses(world: World, x0: Tensor, texts: list[str], seed: int) -> np.ndarray:
    """Velocity error of each clip ``[N]``; noise level i of N is the i-th quantile of the training's distribution.

    The same levels and noise for every call with the same N and seed, so that two splits can be compared.
    """
    model = Packed(world).eval()
    generator = torch.Generator().manual_seed(seed)
    quantiles = (torch.randperm(len(x0), generator=generator) + 0.5) / len(x0)
    sigma = shifted(torch.sigmoid(torch.special.ndtri(quantiles)), world.pipe.scheduler.config.shift)
    noise = torch.randn(x0.shape, generator=generator)
    text = world.pipe.tokenizer(texts, padding="max_length", max_length=MAX_WORDS, truncation=True, return_tensors="pt")
    with torch.no_grad():
        parts = [
            velocity_loss(model, x0[s].float(), sigma[s], noise[s], text.input_ids[s], text.attention_mask[s])
            for s in torch.arange(len(x0)).split(BATCH)
        ]
    return np.asarray(torch.cat(parts).double().numpy())


def nearest(latents: Tensor, training: Tensor) -> np.ndarray:
    """RMS distance in normalised latents of each of ``[N, ...]`` to the nearest of ``[M, ...]``."""
    x = latents.flatten(1).float()
    best = torch.full((len(x),), torch.inf)
    for part in training.flatten(1).split(500):
        best = torch.minimum(best, torch.cdist(x, part.float()).amin(1))
    return np.asarray((best / x.shape[1] ** 0.5).double().numpy())


def memorisation(world: World, trained: Path, family: str, latents: dict[str, Tensor], seed: int) -> dict[str, Any]:
    """Loss on training and on held-out clips; distance to the nearest training clip.

    The distance is that of samples, of held-out simulator videos, and of some training clips to the others. ``near``
    is the share of samples that are nearer than 99 of 100 of those training clips: of copies all, of samples as good
    as new clips of the training combinations 0.01.
    """
    training = stored(world, trained, family, "train")
    held_out = stored(world, trained, family, "validation")
    count = min(CLIPS, len(training), len(held_out))
    losses = {
        split: flow_losses(world, x0[:count], captions(trained, family, split)[:count], seed)
        for split, x0 in {"train": training, "validation": held_out}.items()
    }
    gap = {arm: nearest(world.normalise(z), training) for arm, z in latents.items()}
    apart = min(APART, len(training) // 2)
    gap["training"] = nearest(training[:apart], training[apart:])
    limit = np.quantile(gap["training"], 0.01)
    return {
        **{f"flow_loss_{split}": asdict(mean_interval(values)) for split, values in losses.items()},
        "nearest_training_clip": {arm: float(np.median(values)) for arm, values in gap.items()},
        "near": float((gap["unguided"] < limit).mean()),
        "training_clips": len(training),
    }
