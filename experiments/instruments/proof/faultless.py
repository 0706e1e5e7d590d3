"""Videos without a fault: simulators', through the autoencoder, and as a camera sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.experiments.draw.references import reconstruct
from physgen.experiments.instruments.nulls import RECONSTRUCTION, SIMULATOR
from physgen.experiments.instruments.subject import Subject
from physgen.simulators import GRAMMARS, SIMULATORS
from physgen.worlds import World

CHUNK = 4
#: a camera's noise is drawn up to these: sd of the gain from frame to frame, loss by bleaching over the video, variance
#: of shot noise at full brightness; the gain is that of the nuclei movie, whose brightness varies by 2.8 % a frame
GAIN, BLEACHED, SHOT, READ = 0.04, 0.5, 0.002, 0.003


def simulated(domain: str, count: int, seed: int) -> Iterator[tuple[Subject, Float[Tensor, "3 T H W"]]]:
    """Simulator videos of a kind of scene, ``family.kind``, of attributes drawn at random from all combinations."""
    family, kind = domain.split(".")
    rng = np.random.default_rng([seed, *family.encode(), *kind.encode()])
    combinations = GRAMMARS[family][kind].combinations()
    for start in range(0, count, CHUNK):
        picked = rng.integers(len(combinations), size=min(CHUNK, count - start))
        attributes = [{"kind": kind, **combinations[i]} for i in picked]
        clips = SIMULATORS[family](len(attributes), rng=rng, attributes=attributes, split="all")
        for asked, video in zip(attributes, torch.from_numpy(clips.video), strict=True):
            yield Subject(family, kind, asked), video


def through(world: World, floor: str, video: Float[Tensor, "3 T H W"]) -> Float[Tensor, "3 T H W"]:
    """The video itself, or the autoencoder's reconstruction of it."""
    assert floor in (SIMULATOR, RECONSTRUCTION)
    return reconstruct(world, video[None])[0] if floor == RECONSTRUCTION else video


def camera(video: Float[Tensor, "3 T H W"], rng: np.random.Generator) -> Float[Tensor, "3 T H W"]:
    """What a grey camera sees: uneven gain, bleaching, shot and read noise, each of random strength."""
    light = video.double().mean(0).numpy()
    frames = len(light)
    gain = 1 + rng.uniform(0, GAIN) * rng.standard_normal(frames)
    fading = np.exp(np.log(1 - rng.uniform(0, BLEACHED)) * np.arange(frames) / frames)
    light = light * (gain * fading)[:, None, None]
    sd = np.sqrt(rng.uniform(0, SHOT) * light.clip(0) + READ**2)
    seen = (light + sd * rng.standard_normal(light.shape)).clip(0, 1)
    return torch.from_numpy(seen).float().expand(3, -1, -1, -1)
