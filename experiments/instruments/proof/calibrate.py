"""Null distributions of the instruments, from videos without a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from physgen.experiments.instruments.clip import clips_of
from physgen.experiments.instruments.devices.medium import filed
from physgen.experiments.instruments.nulls import CAMERA, RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.proof.faultless import camera, simulated, through
from physgen.experiments.instruments.registry import ANY, DOMAINS, MICROSCOPY, statistics
from physgen.worlds import World

#: scenes that a camera is pointed at
FILMED = ("dye.drop", "dye.frap", "blood.flow")


def calibrate(world: World, count: int, seed: int, out: Path) -> None:
    """Write ``out/DOMAIN.npz`` of every domain that has none: statistics of faultless videos by floor, sorted.

    They are of ``count`` videos, for the camera of as many of each scene, after an MP4 file. NaN, where there was
    nothing to measure, is left out.
    """
    out.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        path = out / f"{domain}.npz"
        if domain == ANY or path.exists():
            continue
        read: dict[str, list[float]] = {}
        videos = _seen(count, seed) if domain == MICROSCOPY else _families(world, domain, count, seed)
        for floor, found in tqdm(videos, domain, disable=None):
            for name, value in found.items():
                read.setdefault(f"{floor}/{name}", []).append(value)
        arrays: dict[str, Any] = {}
        for key, values in read.items():
            statistic = np.array(values, np.float32)
            arrays[key] = np.sort(statistic[np.isfinite(statistic)])
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        partial.replace(path)


def _families(world: World, domain: str, count: int, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    for subject, video in simulated(domain, count, seed):
        for floor in (SIMULATOR, RECONSTRUCTION):
            (clip,) = clips_of(filed(through(world, floor, video).transpose(0, 1)), subject)
            yield floor, statistics(clip, DOMAINS[domain])


def _seen(count: int, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    rng = np.random.default_rng(seed)
    for scene in FILMED:
        for _, video in simulated(scene, count, seed + 1):
            (clip,) = clips_of(filed(camera(video, rng).transpose(0, 1)), None)
            yield CAMERA, statistics(clip, DOMAINS[MICROSCOPY])
