"""What one model's videos of held-out prompts are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.evaluate.memory import flow_losses
from physgen.experiments.measure.laws import colour_map, law
from physgen.experiments.measure.recognition import features, phase_order, recognised
from physgen.experiments.train import latents
from physgen.experiments.train.data import Shard, Videos
from physgen.measure import degenerate
from physgen.worlds import World
from physgen.worlds.micro.judge import Judge

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredModel:
    """One model's figures per prompt or clip ``[N]``, and feature vectors ``[N, F]`` of its videos.

    ``model`` is ``untuned``, ``without`` or ``with`` constraints, or where the videos are from; ``arm`` what was done
    when sampling; ``seed`` that of the training.
    """

    model: str
    arm: str
    seed: int
    values: dict[str, Array]
    vectors: Array | None = None


def measure(model: str, arm: str, seed: int, asked: Sequence[Prompt], videos: Tensor, judge: Judge) -> MeasuredModel:
    """Laws, recognition and features of videos ``[N, 3, T, H, W]``."""
    family, vectors = asked[0].family, features(judge, videos)
    hits = recognised(judge, asked, vectors)
    if family == "mitosis":
        values = phase_order(judge, videos)
    else:
        rows = [law(family, prompt.attributes, video) for prompt, video in zip(asked, videos, strict=True)]
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        values["degenerate"] = np.array([nothing(p, video) for p, video in zip(asked, videos, strict=True)])
    values |= {name: hits[name] for name in ("family", "attributes")}
    return MeasuredModel(model, arm, seed, values, vectors)


def nothing(prompt: Prompt, video: Tensor) -> float:
    """1 where a video ``[3, T, H, W]`` is degenerate, see `physgen.measure.degenerate`."""
    observable = colour_map(prompt.family, prompt.attributes)
    return float(degenerate(observable(video[None].double()), observable.least)[0] is not None)


def held_out_loss(world: World, model: str, seed: int, root: Path, shards: list[Shard], family: str) -> MeasuredModel:
    """Flow-matching loss of each held-out clip, with the same noise for every model."""
    x0 = world.normalise(latents.load(root, shards, family, "validation"))
    losses = flow_losses(world, x0, Videos.open(shards, family, "validation").captions, 0)
    return MeasuredModel(model, "held-out clips", seed, {"flow_loss": losses})
