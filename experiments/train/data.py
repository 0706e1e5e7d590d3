"""Simulated shards on disk: uint8 videos and a JSON of captions, attributes and parameters beside each.

A shard's JSON is written last: where it is, the shard is whole, and a killed run redoes only the shard it was in.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from physgen.simulators import SIMULATORS, Split

SHARD = 250
SPLITS: dict[str, Split] = {"train": "train", "validation": "held_out"}


@dataclass(frozen=True)
class Shard:
    """One file of simulated videos."""

    root: Path
    family: str
    split: str
    index: int
    clips: int
    seed: int

    @property
    def videos(self) -> Path:
        """uint8 ``[N, 3, T, H, W]``."""
        return self.root / self.family / f"{self.split}-{self.index:04d}.npy"

    @property
    def labels(self) -> Path:
        """JSON list of ``{caption, attributes, parameters}``."""
        return self.videos.with_suffix(".json")


def plan(root: Path, families: Sequence[str], train: int, validation: int, seed: int) -> list[Shard]:
    """The shards of a data set, round-robin over families."""
    counts = {"train": train, "validation": validation}
    shards = [
        Shard(root, family, split, index, min(SHARD, total - index * SHARD), seed)
        for split, total in counts.items()
        for family in families
        for index in range(-(-total // SHARD))
    ]
    return sorted(shards, key=lambda s: (s.index, s.split))


def simulated(mixture: dict[str, float], shards: Sequence[Shard]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Families of a mixture that were simulated, and their probabilities."""
    families = [family for family in mixture if any(shard.family == family for shard in shards)]
    weights = np.array([mixture[family] for family in families])
    return families, weights / weights.sum()


def simulate(shard: Shard) -> None:
    """Simulate one shard unless it is there."""
    if shard.labels.exists():
        return
    shard.videos.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([shard.seed, zlib.crc32(f"{shard.family}/{shard.split}".encode()), shard.index])
    videos, labels = [], []
    for start in range(0, shard.clips, 25):
        clips = SIMULATORS[shard.family](min(25, shard.clips - start), rng=rng, split=SPLITS[shard.split])
        videos.append(np.round(clips.video * 255).astype(np.uint8))
        labels += [
            {"caption": c, "attributes": a, "parameters": p}
            for c, a, p in zip(clips.captions, clips.attributes, clips.parameters, strict=True)
        ]
    write_shard(shard, np.concatenate(videos), labels)


def write_shard(shard: Shard, videos: npt.NDArray[np.uint8], labels: Sequence[Mapping[str, Any]]) -> None:
    """Write the videos of a shard, then its labels, so that a kill leaves a whole shard or none."""
    partial = shard.videos.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.save(stream, videos)
    partial.replace(shard.videos)
    partial.write_text(json.dumps(labels))
    partial.replace(shard.labels)


def simulate_all(shards: Sequence[Shard], processes: int) -> None:
    """Simulate the missing shards in parallel."""
    missing = [s for s in shards if not s.labels.exists()]
    if missing:
        with ProcessPoolExecutor(processes) as pool:
            list(tqdm(pool.map(simulate, missing), total=len(missing), desc="simulate", unit="shard"))


@dataclass(frozen=True)
class Videos:
    """Memory-mapped videos of one family and split."""

    arrays: list[npt.NDArray[np.uint8]]
    captions: list[str]
    attributes: list[dict[str, str]]

    @classmethod
    def open(cls, shards: Sequence[Shard], family: str, split: str) -> Videos:
        """Open the shards of one family and split."""
        chosen = [s for s in shards if s.family == family and s.split == split]
        labels = [row for s in chosen for row in json.loads(s.labels.read_text())]
        return cls(
            [np.load(s.videos, mmap_mode="r") for s in chosen],
            [row["caption"] for row in labels],
            [row["attributes"] for row in labels],
        )

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return self.arrays[index // SHARD][index % SHARD]

    def batches(self, size: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Consecutive batches in order."""
        for array in self.arrays:
            for start in range(0, len(array), size):
                yield array[start : start + size]
