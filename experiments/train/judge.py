"""Train the judge on simulator videos and what the autoencoder makes of them; its held-out accuracy comes with it.

What a video shows does not depend on how softly it is drawn, nor on a camera that trembles: part of the clips are
blurred, part reconstructed, part displaced frame by frame, and only the head for jitter is asked how far.

The world must not see the held-out combinations, the judge must: trained without them it learns that they do not occur
(accuracy on their attributes was below chance). So it gets clips of its own of those combinations, and is tested on
other ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from physgen.experiments.runs.records import write_json_atomic
from physgen.experiments.train import latents
from physgen.experiments.train.autoencoder import decode
from physgen.experiments.train.data import Shard, Videos, plan, simulate_all
from physgen.experiments.train.displaced import displaced
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import Draw, Schedule, fit
from physgen.simulators import GRAMMARS
from physgen.simulators.mitosis import GRID as MITOSIS_GRID
from physgen.simulators.mitosis import PHASES
from physgen.worlds.micro.judge import PARAMETERS, STILL, Judge, head_of, sampled

SKIP = -100


@dataclass
class JudgeTraining:
    """Settings of the judge.

    ``held_out`` clips a family of the held-out combinations are simulated for it, and make up the ``share`` of what it
    sees; ``noise`` and ``brightness`` are the largest of the augmentation, ``jitter`` that in pixels of the clips that
    tremble, one in two. The share ``reconstructed`` is seen as the autoencoder draws it.
    """

    schedule: Schedule
    batch: int = 40
    held_out: int = 500
    share: float = 0.3
    noise: float = 0.03
    brightness: float = 0.03
    jitter: float = 0.5
    reconstructed: float = 0.3


@dataclass(frozen=True)
class Labels:
    """Class indices (`SKIP`: not asked) per head ``[N]``, phases ``[N, frames seen]``, log parameters (NaN: none)."""

    classes: dict[str, Tensor]
    phases: Tensor
    parameters: Tensor

    def __getitem__(self, index: Sequence[int]) -> Labels:
        chosen = list(index)
        return Labels({h: c[chosen] for h, c in self.classes.items()}, self.phases[chosen], self.parameters[chosen])


def read_labels(shards: list[Shard], family: str, split: str, frames: int) -> Labels:
    """Labels of one family and split, in the order of `Videos.open`."""
    rows = [row for s in shards if s.family == family and s.split == split for row in json.loads(s.labels.read_text())]
    judge = Judge(frames)
    classes = {head: torch.full((len(rows),), SKIP) for head in judge.heads}
    phases = torch.full((len(rows), len(sampled(frames))), SKIP)
    names = [(f, p) for f, ps in PARAMETERS.items() for p in ps]
    parameters = torch.full((len(rows), len(names)), torch.nan)
    for i, row in enumerate(rows):
        kind = row["attributes"]["kind"]
        classes["family"][i] = judge.heads["family"].index(family)
        for name in row["attributes"]:
            head = head_of(family, kind, name)
            if head in classes:
                classes[head][i] = judge.heads[head].index(row["attributes"][name])
        if family == "mitosis":
            counts = [round(row["parameters"][f"{phase}_s"] / MITOSIS_GRID.dt) for phase in PHASES]
            phases[i] = torch.from_numpy(np.repeat(np.arange(len(PHASES)), counts)[sampled(frames)])
        for j, (owner, name) in enumerate(names):
            if owner == family:
                parameters[i, j] = float(np.log(row["parameters"][name]))
    return Labels(classes, phases, parameters)


def blur(video: Tensor) -> Tensor:
    """Binomial 3x3 blur of every frame.

    >>> blur(torch.ones(1, 3, 2, 4, 4)).unique().tolist()
    [1.0]
    """
    flat = F.pad(video.flatten(1, 2), (1, 1, 1, 1), mode="replicate")
    rows = flat[..., :-2, :] + 2.0 * flat[..., 1:-1, :] + flat[..., 2:, :]
    return ((rows[..., :-2] + 2.0 * rows[..., 1:-1] + rows[..., 2:]) / 16.0).view_as(video)


def augment(video: Tensor, settings: JudgeTraining, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Jitter, blur of every other clip, brightness and noise, each clip by itself; and the jitter in pixels ``[B]``."""
    uniform = torch.rand(4, len(video), generator=generator)
    jitter = settings.jitter * uniform[2] * (uniform[3] < 0.5)
    moves = jitter[:, None, None] * torch.randn(len(video), video.shape[2], 2, generator=generator)
    video = torch.stack([displaced(v, m) if m.any() else v for v, m in zip(video, moves, strict=True)])
    video = torch.cat([blur(video[::2]), video[1::2]])[interleaved(len(video))]
    uniform = uniform.view(4, -1, 1, 1, 1, 1)
    video = video * (1.0 + settings.brightness * (2.0 * uniform[0] - 1.0))
    return video + settings.noise * uniform[1] * torch.randn(video.shape, generator=generator), jitter


def interleaved(count: int) -> Tensor:
    """Where clip i is after the even clips were moved before the odd ones.

    >>> interleaved(5).tolist()
    [0, 3, 1, 4, 2]
    """
    return torch.cat([torch.arange(0, count, 2), torch.arange(1, count, 2)]).argsort()


def floats(clips: npt.NDArray[np.uint8]) -> Tensor:
    """A uint8 batch in [0, 1]."""
    return torch.from_numpy(np.array(clips)).float() / 255.0


def redrawn(autoencoder: nn.Module, latents: Tensor) -> Tensor:
    """Videos in [0, 1] that the autoencoder draws from latents."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return (0.5 * decode(autoencoder, latents.float()) + 0.5).clamp(0.0, 1.0)


def objective(judge: Judge, video: Tensor, jitter: Tensor, labels: Labels) -> tuple[Tensor, dict[str, float]]:
    """Mean cross-entropy over the heads, plus those of the phases, plus the error of parameters and of log jitter."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = judge.frames(video)
        features = judge.encode(pooled)
        scores = judge.scores(features)
        phase, parameter = judge.phase(pooled).float(), judge.parameter(features).float()
        tremor = F.mse_loss(judge.log_jitter(pooled).float(), (jitter + STILL).log())
    losses = {
        h: F.cross_entropy(s.float(), labels.classes[h]) for h, s in scores.items() if (labels.classes[h] != SKIP).any()
    }
    phases = (
        F.cross_entropy(phase.flatten(0, 1), labels.phases.flatten())
        if (labels.phases != SKIP).any()
        else phase.sum() * 0
    )
    known = labels.parameters.isfinite()
    regression = F.mse_loss(parameter[known], labels.parameters[known]) if known.any() else parameter.sum() * 0
    classes = 2.0 * losses["family"] + torch.stack([v for h, v in losses.items() if h != "family"]).sum()
    return classes / len(losses) + 0.2 * phases + 0.3 * regression + 0.1 * tremor, {
        "jitter": tremor.item(),
        "phases": phases.item(),
        "parameters": regression.item(),
        "classes": classes.item() / len(losses),
    }


@dataclass(frozen=True)
class JudgeClips:
    """Shards that the judge learns from, one split, and the folder of their latents."""

    folder: Path
    shards: list[Shard]
    split: str


def _train(
    rank: int,
    world: int,
    folder: Path,
    pools: list[JudgeClips],
    autoencoder: nn.Module,
    settings: JudgeTraining,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    families = list(GRAMMARS)
    videos = {f: [Videos.open(pool.shards, f, pool.split) for pool in pools] for f in families}
    codes = {f: [latents.load(pool.folder, pool.shards, f, pool.split) for pool in pools] for f in families}
    frames = videos[families[0]][0][0].shape[1]
    labels = {f: [read_labels(pool.shards, f, pool.split, frames) for pool in pools] for f in families}
    every = torch.cat([found.parameters for pair in labels.values() for found in pair])
    mean = every.nanmean(0)
    std = (every - mean).square().nanmean(0).sqrt()
    judge = Judge(frames)

    def step(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        clips, parts = [], []
        for family in families:
            for pool in (draw.random(settings.batch // len(families)) < settings.share).astype(int):
                index = int(draw.integers(len(videos[family][pool])))
                if draw.random() < settings.reconstructed:
                    clips.append(redrawn(autoencoder, codes[family][pool][index][None]))
                else:
                    clips.append(floats(videos[family][pool][index][None]))
                parts.append(labels[family][pool][[index]])
        merged = Labels(
            {h: torch.cat([p.classes[h] for p in parts]) for h in judge.heads},
            torch.cat([p.phases for p in parts]),
            (torch.cat([p.parameters for p in parts]) - mean) / std,
        )
        return objective(judge, *augment(torch.cat(clips), settings, generator), merged)

    fit(rank, world, folder, "judge", judge, step, settings.schedule, seed)


def accuracy(judge: Judge, folder: Path, shards: list[Shard], autoencoder: nn.Module) -> dict[str, Any]:
    """Share of validation videos that each head names rightly, true and reconstructed, with the number asked."""
    right: dict[str, dict[str, list[float]]] = {"truth": {}, "reconstruction": {}}
    for family in GRAMMARS:
        labels = read_labels(shards, family, "validation", judge.config["frames"])
        codes = latents.load(folder, shards, family, "validation")
        shown = {
            "truth": (floats(batch) for batch in Videos.open(shards, family, "validation").batches(25)),
            "reconstruction": (redrawn(autoencoder, part) for part in codes.split(25)),
        }
        for source, batches in shown.items():
            with torch.no_grad():
                pooled = torch.cat([judge.frames(batch) for batch in batches])
            for head, scores in judge.scores(judge.encode(pooled)).items():
                asked = labels.classes[head] != SKIP
                hits = (scores.argmax(1) == labels.classes[head])[asked].float().tolist()
                right[source].setdefault(head, []).extend(hits)
            asked = labels.phases != SKIP
            hits = (judge.phase(pooled).argmax(-1) == labels.phases)[asked].float().tolist()
            right[source].setdefault("mitosis.phase", []).extend(hits)
    return {
        source: {head: {"accuracy": float(np.mean(hits)), "n": len(hits)} for head, hits in heads.items()}
        for source, heads in right.items()
    }


def train_judge(
    folder: Path, shards: list[Shard], autoencoder: nn.Module, settings: JudgeTraining, *, seed: int, processes: int
) -> Judge:
    """Train (or resume, or load the finished) judge and save it in ``folder/judge``, ``accuracy.json`` beside it."""
    home = folder / "judge"
    home.mkdir(exist_ok=True)
    own = plan(home, list(GRAMMARS), 0, settings.held_out, seed + 1)
    simulate_all(own, processes)
    latents.encode_all(home, own, autoencoder, processes=processes)
    pools = [JudgeClips(folder, shards, "train"), JudgeClips(home, own, "validation")]
    launch(_train, processes, home, pools, autoencoder, settings, seed)
    saved = torch.load(home / "judge.ckpt", weights_only=True)
    judge = Judge(Videos.open(shards, next(iter(GRAMMARS)), "train")[0].shape[1])
    judge.load_state_dict(saved["ema"])
    judge.eval().requires_grad_(False).save(home)
    write_json_atomic(home / "accuracy.json", accuracy(judge, folder, shards, autoencoder))
    return judge
