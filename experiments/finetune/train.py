"""Flow matching with a LoRA on the attention and feed-forward layers, alone or with a `ConstraintLoss` on x0_hat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from physgen.experiments.evaluate.memory import Packed
from physgen.experiments.finetune.options import WEIGHTS, FinetuneConfig
from physgen.experiments.train import latents
from physgen.experiments.train.data import Shard, Videos
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import Draw, Objective, Schedule, fit
from physgen.experiments.train.transformer import draw_captions, draw_levels, predict, tokens
from physgen.observables import Observable
from physgen.sampling.decoding.decoder import Decoder
from physgen.training import ConstraintLoss, Mixed, conflict_free
from physgen.worlds import World
from physgen.worlds.checkpoints.save_lora import save_lora
from physgen.worlds.loading import load

LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
#: clips whose decoded latents say what costs nothing
CLEAN = 64


@dataclass(frozen=True)
class TrainingArm:
    """One LoRA: trained ``with`` constraints or ``without``, from one seed."""

    root: Path
    name: str
    seed: int

    @property
    def folder(self) -> Path:
        """Its checkpoint, log and files."""
        return self.root / f"{self.name}-{self.seed}"

    @property
    def file(self) -> Path:
        """The finished LoRA, in DiffSynth's names."""
        return self.folder / "lora.safetensors"


def train_arms(arms: list[TrainingArm], shards: list[Shard], config: FinetuneConfig) -> None:
    """Train those that are not finished, several at a time."""
    if missing := [arm for arm in arms if not arm.file.exists()]:
        launch(_train, min(config.processes, len(missing)), missing, shards, config)


def _train(rank: int, processes: int, arms: list[TrainingArm], shards: list[Shard], config: FinetuneConfig) -> None:
    for arm in arms[rank::processes]:
        train(arm, shards, config)


def train(arm: TrainingArm, shards: list[Shard], config: FinetuneConfig) -> None:
    """Train one LoRA with the constraints in the loss, or without."""
    world = load(config.world, "cpu")
    add_lora(world.pipe, config.rank, arm.seed)
    data = Clips.open(world, arm.root, shards, config.family)
    objective = flow_matching(world, data, config, constraint_loss(data, config) if arm.name == "with" else None)
    fit_lora(world.pipe, arm, objective, config.schedule)


def add_lora(pipe: Any, rank: int, seed: int) -> None:
    """Freeze a pipeline and put a LoRA that changes nothing yet on its transformer, drawn from a seed."""
    from peft import LoraConfig

    for part in (pipe.transformer, pipe.text_encoder, pipe.vae):
        part.requires_grad_(False)
    torch.manual_seed(seed)
    pipe.transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS))


def fit_lora(pipe: Any, arm: TrainingArm, objective: Objective, schedule: Schedule) -> None:
    """Train the LoRA that `add_lora` put on a pipeline, and write its files.

    They are ``lora.safetensors`` and, in diffusers' layout, ``pytorch_lora_weights.safetensors``.
    """
    from peft import get_peft_model_state_dict

    trained = {name: p for name, p in pipe.transformer.named_parameters() if p.requires_grad}
    update = nn.ParameterDict({name.replace(".", "/"): p for name, p in trained.items()})
    arm.folder.mkdir(parents=True, exist_ok=True)
    averaged = fit(0, 1, arm.folder, "lora", update, objective, schedule, arm.seed)
    update.load_state_dict(averaged)
    pipe.save_lora_weights(arm.folder, transformer_lora_layers=get_peft_model_state_dict(pipe.transformer))
    save_lora(pipe.transformer, arm.file)


@dataclass(frozen=True)
class Clips:
    """Normalised latents of the training clips, what they show, and how their fields are read."""

    family: str
    x0: Tensor
    attributes: list[dict[str, str]]
    captions: list[str]
    observables: list[Observable]
    world: World

    @classmethod
    def open(cls, world: World, root: Path, shards: list[Shard], family: str) -> Clips:
        """The training split."""
        videos = Videos.open(shards, family, "train")
        x0 = world.normalise(latents.load(root, shards, family, "train"))
        read = [world.observable(text) for text in videos.captions]
        return cls(family, x0, videos.attributes, videos.captions, read, world)

    def texts(self, rows: list[int], drop: float, draw: Draw) -> list[str]:
        """Captions of some of the clips, a part of them empty: worded anew, or as they are where movies are shown."""
        if not self.attributes[rows[0]]:
            return ["" if draw.random() < drop else self.captions[row] for row in rows]
        return draw_captions([(self.family, self.attributes[row]) for row in rows], drop, draw)

    def decoder(self, rows: list[int]) -> Decoder:
        """From latents of some of the clips to their fields, each read by its own colours."""
        return Decoder(self.world.pipe.vae, Mixed([self.observables[row] for row in rows]))


def constraint_loss(data: Clips, config: FinetuneConfig) -> ConstraintLoss:
    """The loss, with what the decoder does to clean clips as its floors."""
    constraints, weight = config.constraints(), WEIGHTS[config.weight]
    rows = list(range(min(CLEAN, len(data.x0))))
    grid = data.world.grid(data.family)
    with torch.no_grad():
        free = ConstraintLoss(constraints, measure=config.measure)
        rho = free.violations(data.x0[rows], decode=data.decoder(rows), grid=grid)
    floors = {name: float(values.nanmedian()) for name, values in rho.items()}
    return ConstraintLoss(constraints, measure=config.measure, weight=weight, floors=floors)


def flow_matching(world: World, data: Clips, config: FinetuneConfig, constrained: ConstraintLoss | None) -> Objective:
    """The objective of `fit`: the same draws with and without constraints."""
    pipe: Any = world.pipe
    model, grid, shift = Packed(world), world.grid(data.family), float(pipe.scheduler.config.shift)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def objective(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        rows = draw.integers(len(data.x0), size=config.batch).tolist()
        x0 = data.x0[rows]
        ids, mask = tokens(pipe.tokenizer, data.texts(rows, config.drop_prompt, draw))
        sigma = draw_levels(len(rows), shift, generator)
        noise, s = torch.randn(x0.shape, generator=generator), sigma.view(-1, 1, 1, 1, 1)
        x_t = (1 - s) * x0 + s * noise
        velocity = predict(model, x_t, sigma, ids, mask)
        flow = (velocity - (noise - x0)).square().mean()
        figures = {"flow_loss": flow.item()}
        if constrained is None:
            return flow, figures
        violation = constrained(x_t - s * velocity, sigma, decode=data.decoder(rows), grid=grid).mean()
        figures |= {"excess": (2 * violation.item()) ** 0.5, "skipped": float(constrained.skipped)}
        if config.balance is not None:
            return flow + config.balance * violation, figures
        return conflict_free(flow, violation, parameters), figures

    return objective
