"""Train the diffusion transformer and its text encoder by flow matching on latents.

    x_sigma = (1 - sigma) x0 + sigma eps,   loss = w_family |v(x_sigma, sigma, text) - (eps - x0)|^2

sigma is logit-normal, then shifted; ``w_family`` is the inverse of the family's running loss, so that no family
dominates. Source: Lipman et al. 2210.02747; Esser et al. 2403.03206 (logit-normal sigma and shift).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from physgen.experiments.train import latents as latent_files
from physgen.experiments.train.data import Shard, Videos, simulated
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import Draw, Schedule, fit
from physgen.simulators import GRAMMARS
from physgen.worlds.micro.text import MAX_WORDS, build_text_encoder, build_tokenizer, vocabulary


@dataclass
class TransformerTraining:
    """Settings of the transformer stage; ``mixture`` weighs the families, ``arguments`` go to the model.

    ``compile`` costs a few minutes at the start of a run and makes its steps about 1.4 times faster.
    """

    schedule: Schedule
    mixture: dict[str, float]
    arguments: dict[str, Any] = field(default_factory=dict)
    batch: int = 20
    shift: float = 2.0
    drop_prompt: float = 0.1
    drop_word: float = 0.04
    compile: bool = True


class TextToLatents(nn.Module):
    """Transformer and text encoder, trained jointly; pads the text with zeros exactly as `WanPipeline` does."""

    def __init__(self, arguments: dict[str, Any], vocabulary_size: int) -> None:
        super().__init__()
        self.transformer = WanTransformer3DModel(**arguments)
        self.text_encoder = build_text_encoder(vocabulary_size, width=arguments["text_dim"])
        nn.init.zeros_(self.transformer.proj_out.weight)
        nn.init.zeros_(self.transformer.proj_out.bias)

    def forward(self, x: Tensor, sigma: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Velocity ``[B, C, T, H, W]`` at noise level ``sigma [B]``."""
        text = self.text_encoder(ids, mask).last_hidden_state
        text = text * mask[..., None].to(text.dtype)
        return self.transformer(x, sigma * 1000.0, text, return_dict=False)[0]


def shifted(uniform: Tensor, shift: float) -> Tensor:
    """``shift u / (1 + (shift - 1) u)``.

    >>> shifted(torch.tensor([0.0, 0.5, 1.0]), 2.0).tolist()
    [0.0, 0.6666666865348816, 1.0]
    """
    return shift * uniform / (1.0 + (shift - 1.0) * uniform)


def normalised(folder: Path, shards: list[Shard], families: list[str], split: str) -> dict[str, Tensor]:
    """Latents of a split, fp16, with the training set's mean taken off and divided by its standard deviation."""
    mean, std = (
        torch.tensor(s).view(1, -1, 1, 1, 1)
        for s in latent_files.statistics({f: latent_files.load(folder, shards, f, "train") for f in families})
    )
    return {f: (latent_files.load(folder, shards, f, split) - mean).div(std).half() for f in families}


def predict(model: nn.Module, x_t: Tensor, sigma: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Velocity in float32, computed in bfloat16; on a CPU the plain attention has the faster backward pass."""
    attention = sdpa_kernel(SDPBackend.MATH) if x_t.device.type == "cpu" else nullcontext()
    with torch.autocast(x_t.device.type, dtype=torch.bfloat16), attention:
        return model(x_t, sigma, ids, mask).float()


def velocity_loss(model: nn.Module, x0: Tensor, sigma: Tensor, noise: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Squared velocity error per sample, ``[B]``."""
    s = sigma.view(-1, 1, 1, 1, 1)
    velocity = predict(model, (1 - s) * x0 + s * noise, sigma, ids, mask)
    return (velocity - (noise - x0)).square().mean((1, 2, 3, 4))


def draw_levels(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Noise levels ``[count]``: logit-normal, then shifted."""
    return shifted(torch.sigmoid(torch.randn(count, generator=generator)), shift)


def draw_captions(chosen: Sequence[tuple[str, dict[str, str]]], drop: float, draw: Draw) -> list[str]:
    """Captions of families and attributes, a part of them empty."""
    found = []
    for family, attribute in chosen:
        caption = GRAMMARS[family][attribute["kind"]].caption(attribute, draw)
        found.append("" if draw.random() < drop else caption)
    return found


def tokens(tokenizer: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Word numbers and mask ``[B, MAX_WORDS]``."""
    text = tokenizer(list(prompts), padding="max_length", max_length=MAX_WORDS, truncation=True, return_tensors="pt")
    return text.input_ids, text.attention_mask


def _train(rank: int, world: int, folder: Path, shards: list[Shard], settings: TransformerTraining, seed: int) -> None:
    torch.manual_seed(seed)
    families, weights = simulated(settings.mixture, shards)
    data = normalised(folder, shards, families, "train")
    attributes = {f: Videos.open(shards, f, "train").attributes for f in families}
    tokenizer = build_tokenizer(vocabulary())
    model = TextToLatents(settings.arguments, len(tokenizer))
    if settings.compile:
        model.transformer.compile()
    unknown = tokenizer.unk_token_id
    running = torch.ones(len(families), dtype=torch.float64)

    def objective(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        chosen = draw.choice(families, settings.batch, p=weights)
        indices = [int(draw.integers(len(data[f]))) for f in chosen]
        x0 = torch.stack([data[f][i] for f, i in zip(chosen, indices, strict=True)]).float()
        shown = [(f, attributes[f][i]) for f, i in zip(chosen, indices, strict=True)]
        ids, mask = tokens(tokenizer, draw_captions(shown, settings.drop_prompt, draw))
        dropped = torch.rand(ids.shape, generator=generator) < settings.drop_word
        ids = torch.where(dropped & (ids > unknown), unknown, ids)
        sigma = draw_levels(len(chosen), settings.shift, generator)
        noise = torch.randn(x0.shape, generator=generator)
        losses = velocity_loss(model, x0, sigma, noise, ids, mask)
        figures = {}
        for family in set(chosen):
            own = losses.detach()[torch.from_numpy(chosen == family)].mean().item()
            index = families.index(family)
            running[index] += 0.02 * (own - running[index])
            figures[f"loss_{family}"] = own
        balance = (running.mean() / running).clamp(0.4, 2.5)[[families.index(f) for f in chosen]].float()
        figures["flow_loss"] = losses.mean().item()
        return (balance * losses).mean(), figures

    fit(rank, world, folder, "transformer", model, objective, settings.schedule, seed, running)


def train_transformer(
    folder: Path, shards: list[Shard], settings: TransformerTraining, *, seed: int, processes: int
) -> TextToLatents:
    """Train (or resume, or load the finished) transformer; returns it with its EMA weights."""
    launch(_train, processes, folder, shards, settings, seed)
    model = TextToLatents(settings.arguments, len(build_tokenizer(vocabulary())))
    model.load_state_dict(torch.load(folder / "transformer.ckpt", weights_only=True)["ema"])
    return model.eval().requires_grad_(False)
