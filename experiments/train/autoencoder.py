"""Train the video autoencoder: L1 + MSE + image gradients + a small KL, on crops and then on whole clips."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from physgen.experiments.train.data import SHARD, Shard, Videos, simulated
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import Draw, Schedule, fit
from physgen.worlds.micro.autoencoder import MicroAutoencoder


@dataclass
class AutoencoderTraining:
    """Settings of the autoencoder stage.

    ``mixture`` weighs the families; it sees their first ``clips`` clips; ``whole_clips`` is the last share of steps,
    in which the error of each frame's mean colour (its mass) is added with weight ``mass``. ``change`` weighs the error
    of the differences between frames: what keeps still must not flicker, and slow changes are the physics.
    """

    schedule: Schedule
    clips: int
    mixture: dict[str, float]
    model: str = "micro"
    arguments: dict[str, Any] = field(default_factory=dict)
    batch: int = 8
    crop: int = 32
    crop_frames: int = 17
    whole_clips: float = 0.2
    whole_batch: int = 2
    kl: float = 2e-4
    mass: float = 5.0
    change: float = 1.0


def build(settings: AutoencoderTraining) -> MicroAutoencoder | AutoencoderKLWan:
    """A freshly initialised autoencoder."""
    if settings.model == "wan":
        return AutoencoderKLWan(**settings.arguments)
    return MicroAutoencoder(**settings.arguments)


def moments(autoencoder: nn.Module, video: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean and log-variance in float32."""
    posterior = autoencoder.encode(video).latent_dist  # type: ignore[operator]
    return posterior.mean.float(), posterior.logvar.float().clamp(-12.0, 4.0)


def decode(autoencoder: nn.Module, latents: Tensor) -> Tensor:
    """Decoded video, unclamped where the class can."""
    if isinstance(autoencoder, MicroAutoencoder):
        return autoencoder.decode_unclamped(latents).float()
    return autoencoder.decode(latents).sample.float()  # type: ignore[operator]


def difference(x: Tensor) -> Tensor:
    """Mean absolute spatial gradient."""
    return x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean()


def augment(clip: np.ndarray, draw: Draw) -> np.ndarray:
    """A random element of the square's symmetries."""
    if draw.random() < 0.5:
        clip = clip[..., ::-1]
    if draw.random() < 0.5:
        clip = clip[..., ::-1, :]
    return clip.swapaxes(-1, -2) if draw.random() < 0.5 else clip


def _train(rank: int, world: int, folder: Path, shards: list[Shard], settings: AutoencoderTraining, seed: int) -> None:
    torch.manual_seed(seed)
    autoencoder = build(settings)
    seen = [s for s in shards if s.index * SHARD < settings.clips]
    families, weights = simulated(settings.mixture, shards)
    videos = {family: Videos.open(seen, family, "train") for family in families}

    def batch(draw: Draw, progress: float) -> Tensor:
        whole = progress >= 1.0 - settings.whole_clips
        clips = []
        for family in draw.choice(families, settings.whole_batch if whole else settings.batch, p=weights):
            clip = videos[family][int(draw.integers(len(videos[family])))]
            if not whole:
                frames, crop = settings.crop_frames, settings.crop
                t, y, x = (
                    int(draw.integers(n - size + 1))
                    for n, size in zip(clip.shape[1:], (frames, crop, crop), strict=True)
                )
                clip = clip[:, t : t + frames, y : y + crop, x : x + crop]
            clips.append(augment(np.asarray(clip), draw))
        return torch.from_numpy(np.stack(clips)).float() / 127.5 - 1.0

    def objective(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        video = batch(draw, progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean, logvar = moments(autoencoder, video)
            noise = torch.randn(mean.shape, generator=generator)
            decoded = decode(autoencoder, mean + noise * (0.5 * logvar).exp())
        error = decoded - video
        mse = error.square().mean()
        kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
        loss = error.abs().mean() + mse + 0.5 * difference(error) + settings.kl * kl
        loss = loss + settings.change * error.diff(dim=2).abs().mean()
        mass = error.mean((-1, -2)).abs().mean()
        if video.shape[-1] > settings.crop:
            loss = loss + settings.mass * mass
        return loss, {"psnr_db": float(10 * torch.log10(4.0 / mse.detach())), "kl": kl.item(), "mass": mass.item()}

    fit(rank, world, folder, f"autoencoder-{settings.model}", autoencoder, objective, settings.schedule, seed)


def train_autoencoder(
    folder: Path, shards: list[Shard], settings: AutoencoderTraining, *, seed: int, processes: int
) -> MicroAutoencoder | AutoencoderKLWan:
    """Train (or resume, or load the finished) autoencoder; returns it with its EMA weights."""
    launch(_train, processes, folder, shards, settings, seed)
    autoencoder = build(settings)
    saved = torch.load(folder / f"autoencoder-{settings.model}.ckpt", weights_only=True)
    autoencoder.load_state_dict(saved["ema"])
    return autoencoder.eval().requires_grad_(False)
