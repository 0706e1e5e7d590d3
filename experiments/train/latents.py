"""Encode the simulated shards once: fp16 latents of the posterior mean, and their statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from physgen.experiments.train.autoencoder import moments
from physgen.experiments.train.data import Shard
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import save

BATCH = 10


def latents_path(folder: Path, shard: Shard) -> Path:
    """Where a shard's latents are kept."""
    return folder / "latents" / shard.family / f"{shard.split}-{shard.index:04d}.pt"


def _encode(rank: int, world: int, folder: Path, shards: list[Shard], autoencoder: nn.Module) -> None:
    missing = [s for s in shards if not latents_path(folder, s).exists()][rank::world]
    for shard in tqdm(missing, desc="encode", disable=rank != 0):
        videos = np.load(shard.videos, mmap_mode="r")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            parts = [
                moments(autoencoder, torch.from_numpy(np.array(videos[i : i + BATCH])).float() / 127.5 - 1.0)[0].half()
                for i in range(0, len(videos), BATCH)
            ]
        path = latents_path(folder, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, torch.cat(parts))


def encode_all(folder: Path, shards: list[Shard], autoencoder: nn.Module, *, processes: int) -> None:
    """Encode the shards that have no latents yet."""
    launch(_encode, processes, folder, shards, autoencoder)


def load(folder: Path, shards: list[Shard], family: str, split: str) -> Tensor:
    """Latents of one family and split, ``[N, C, T, H, W]`` fp16."""
    return torch.cat(
        [
            torch.load(latents_path(folder, s), weights_only=True)
            for s in shards
            if s.family == family and s.split == split
        ]
    )


def statistics(latents: dict[str, Tensor]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel, every family counting the same."""
    mean = torch.stack([z.float().mean((0, 2, 3, 4)) for z in latents.values()]).mean(0)
    square = torch.stack([z.float().square().mean((0, 2, 3, 4)) for z in latents.values()]).mean(0)
    return mean.tolist(), (square - mean.square()).sqrt().tolist()
