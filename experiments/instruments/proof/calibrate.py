"""Null distributions of the instruments, from videos without a fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from physgen.experiments.instruments.clip import clips_of
from physgen.experiments.instruments.devices.medium import filed
from physgen.experiments.instruments.nulls import CAMERA, RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.proof.faultless import camera, simulated, through
from physgen.experiments.instruments.registry import ANY, DOMAINS, MICROSCOPY, statistics
from physgen.simulators import GRAMMARS
from physgen.worlds import World

#: scenes that a camera is pointed at
FILMED = ("dye.drop", "dye.frap", "blood.flow")


def calibrate(world: World, count: int, seed: int, out: Path) -> None:
    """Write ``out/DOMAIN.npz`` of every domain: statistics of faultless videos by floor and instrument, sorted.

    They are of ``count`` videos, for the camera of as many of each scene, after an MP4 file. NaN, where there was
    nothing to measure, is left out. What a file has of an instrument is kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    for domain in DOMAINS:
        if domain == ANY:
            continue
        path = out / f"{domain}.npz"
        arrays = _kept(path)
        missing = [n for n in DOMAINS[domain] if not all(f"{floor}/{n}" in arrays for floor in floors_of(domain))]
        if not missing:
            continue
        read: dict[str, list[float]] = {}
        videos = _seen(count, seed, missing) if domain == MICROSCOPY else _families(world, domain, count, seed, missing)
        for floor, found in tqdm(videos, domain, disable=None):
            for name, value in found.items():
                read.setdefault(f"{floor}/{name}", []).append(value)
        for key, values in read.items():
            statistic = np.array(values, np.float32)
            arrays[key] = np.sort(statistic[np.isfinite(statistic)])
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        partial.replace(path)


def floors_of(domain: str) -> tuple[str, ...]:
    """Ways of the faultless videos of a domain to the file; the autoencoder's is one for scenes that it has learned."""
    if domain == MICROSCOPY:
        return (CAMERA,)
    return (SIMULATOR, RECONSTRUCTION) if domain.split(".")[0] in GRAMMARS else (SIMULATOR,)


def _kept(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _families(
    world: World, domain: str, count: int, seed: int, names: Sequence[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    for subject, video in simulated(domain, count, seed):
        for floor in floors_of(domain):
            (clip,) = clips_of(filed(through(world, floor, video).transpose(0, 1)), subject)
            yield floor, statistics(clip, names)


def _seen(count: int, seed: int, names: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    rng = np.random.default_rng(seed)
    for scene in FILMED:
        for _, video in simulated(scene, count, seed + 1):
            (clip,) = clips_of(filed(camera(video, rng).transpose(0, 1)), None)
            yield CAMERA, statistics(clip, names)
