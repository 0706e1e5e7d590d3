"""Train LoRAs on what was drawn: the same start, steps, rows, noise and levels in every arm of a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from physgen.experiments.align.cost import Cost
from physgen.experiments.align.options import ALIGNED, DATA, PREFERENCE, RANDOM, AlignConfig, Lora, is_micro
from physgen.experiments.align.pool import SamplePool, run
from physgen.experiments.align.preference import preference_loss
from physgen.experiments.draw.prompts import Prompt
from physgen.experiments.draw.references import simulate
from physgen.experiments.finetune.train import TrainingArm, add_lora, fit_lora
from physgen.experiments.train.loop import Draw, Objective
from physgen.experiments.train.transformer import draw_levels, velocity_loss
from physgen.worlds import World
from physgen.worlds.loading import load
from physgen.worlds.memory.architecture import text_length


@dataclass(frozen=True)
class Data:
    """What a LoRA is trained on: latents and their captions, and of pairs the latents that are not preferred."""

    x0: Float[Tensor, "N C T h w"]
    captions: list[str]
    other: Float[Tensor, "N C T h w"] | None = None


@dataclass(frozen=True)
class Training:
    """A LoRA to train: its samples, and the prompts of those that the aligned model accepted."""

    arm: TrainingArm
    pool: SamplePool
    accepted: Sequence[Prompt]

    def data(self, world: World) -> Data:
        """What the arm is trained on; of `RANDOM` as many samples as the aligned model accepted."""
        rows = self.pool.accepted
        if self.arm.name == DATA:
            videos = [simulate(p, world.spec, [self.arm.seed, p.seed]) for p in self.accepted]
            latents = torch.cat([world.encode(video) for video in videos])
            return Data(latents, [p.caption for p in self.accepted])
        if self.arm.name == RANDOM:
            count = len(self.accepted)
            rows = np.random.default_rng([self.arm.seed, count]).permutation(len(self.pool.prompts))[:count].tolist()
        captions = [self.pool.prompts[row].caption for row in rows]
        if self.arm.name == ALIGNED:
            return Data(self.pool.projected[rows], captions)
        if self.arm.name == PREFERENCE:
            return Data(self.pool.projected[rows], captions, self.pool.latents[rows])
        return Data(self.pool.latents[rows], captions)


class Prompted(nn.Module):
    """A world's transformer for prompts that were encoded once, and are called by their numbers."""

    def __init__(self, world: World, captions: Sequence[str]) -> None:
        super().__init__()
        pipe: Any = world.pipe
        self.transformer = pipe.transformer
        self.numbers = {caption: number for number, caption in enumerate(dict.fromkeys(["", *captions]))}
        options = {"do_classifier_free_guidance": False, "max_sequence_length": text_length(world.spec)}
        with torch.no_grad():
            texts = [pipe.encode_prompt(text, **options, device=pipe.text_encoder.device)[0] for text in self.numbers]
        self.text = torch.cat(texts).to(pipe.transformer.device)

    def forward(self, x: Tensor, sigma: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Velocity ``[B, C, T, h, w]`` at noise level ``sigma [B]`` for the captions of these numbers ``[B]``."""
        return self.transformer(x, sigma * 1000.0, self.text[ids], return_dict=False)[0]


@contextmanager
def without_lora(transformer: Any) -> Iterator[None]:
    """The transformer as it was before `add_lora`."""
    transformer.disable_adapters()
    try:
        yield
    finally:
        transformer.enable_adapters()


def objective_of(world: World, data: Data, lora: Lora) -> Objective:
    """Flow matching on the samples, or `preference_loss` on pairs, with the draws that both have in common."""
    model, device = Prompted(world, data.captions), world.pipe.transformer.device
    config = world.pipe.scheduler.config
    shift = float(config.get("shift", config.get("flow_shift", 1.0)))

    def objective(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        rows = draw.integers(len(data.x0), size=lora.batch).tolist()
        ids = torch.tensor([model.numbers["" if draw.random() < lora.drop_prompt else data.captions[r]] for r in rows])
        sigma = draw_levels(len(rows), shift, generator)
        noise = torch.randn(data.x0[rows].shape, generator=generator)
        sigma, noise, ids = sigma.to(device), noise.to(device), ids.to(device)

        def errors(latents: Tensor) -> Tensor:
            return velocity_loss(model, latents[rows].to(device), sigma, noise, ids, ids)

        mine = errors(data.x0)
        if data.other is None:
            return mine.mean(), {"flow_loss": mine.mean().item()}
        with torch.no_grad(), without_lora(model.transformer):
            began = errors(data.x0), errors(data.other)
        other = errors(data.other)
        loss = preference_loss(mine, other, *began, lora.beta)
        margin = (began[0] - mine) - (began[1] - other)
        return loss.mean(), {"flow_loss": mine.mean().item(), "margin": margin.mean().item()}

    return objective


def train_all(trainings: Sequence[Training], config: AlignConfig) -> None:
    """Train those that are not finished, several at a time."""
    run(_train, config, [one for one in trainings if not one.arm.file.exists()])


def _train(rank: int, processes: int, config: AlignConfig, trainings: list[Training]) -> None:
    for one in trainings[rank::processes]:
        train(one, config)


def train(training: Training, config: AlignConfig) -> None:
    """Train one LoRA and write its files; a run that was killed goes on from its checkpoint."""
    world = load(config.world, "cpu")
    data = training.data(world)
    transformer: Any = world.pipe.transformer
    transformer.to(config.device)  # alone: text is encoded once, before
    if not is_micro(config.world) and transformer.device.type != "cpu":
        transformer.enable_gradient_checkpointing()
    add_lora(world.pipe, config.lora.rank, training.arm.seed)
    fit_lora(world.pipe, training.arm, objective_of(world, data, config.lora), config.lora.schedule)


def cost_of_training(arm: TrainingArm, lora: Lora) -> Cost:
    """What training a finished LoRA cost; pairs take two evaluations with a way back and two without."""
    passes = lora.schedule.steps * lora.batch
    last = (arm.folder / "lora.log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    seconds = float(json.loads(last)["seconds"])
    return Cost(2 * passes, 2 * passes, seconds) if arm.name == PREFERENCE else Cost(0, passes, seconds)
