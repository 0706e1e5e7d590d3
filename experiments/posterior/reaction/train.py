"""Train the model of trajectories on a line, on one core in a quarter of an hour or less.

    python -m physgen.experiments.posterior.reaction.train out=FOLDER [steps=5000] [seed=0]

A run that was killed goes on from its checkpoint. Weights go to `FOLDER/reaction.safetensors`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from physgen.experiments.posterior.reaction.data import Trajectories, dataset
from physgen.experiments.posterior.reaction.model import Frames, save_weights, to_samples
from physgen.experiments.train.distributed import launch
from physgen.experiments.train.loop import Draw, Objective, Schedule, fit

LAWS, EACH, BATCH = 512, 64, 64
#: below this noise level the error of the clean sample counts as at it
FLOOR = 0.1


def objective_of(model: Frames, data: Trajectories) -> Objective:
    """|v - (e - x0)|^2 on trajectories and their mirror images; sigma is the logistic of a normal draw, or uniform."""
    samples = to_samples(data.u)

    def objective(draw: Draw, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        x0 = samples[torch.from_numpy(draw.integers(len(samples), size=BATCH))]
        x0 = torch.where(torch.from_numpy(draw.random((BATCH, 1, 1, 1)) < 0.5), x0, x0.flip(-1))
        level = np.where(
            draw.random(BATCH) < 0.3, draw.uniform(0.01, 1.0, BATCH), 1 / (1 + np.exp(-draw.normal(size=BATCH)))
        )
        sigma = torch.from_numpy(level).float()
        s = sigma.view(-1, 1, 1, 1)
        noise = torch.randn(x0.shape, generator=generator)
        error = model.clean((1 - s) * x0 + s * noise, sigma) - x0
        mse = error.square().mean((1, 2, 3))
        return (mse / (sigma.square() + FLOOR**2)).mean(), {"rms": float(mse.detach().mean().sqrt())}

    return objective


def _train(rank: int, world: int, folder: Path, steps: int, seed: int) -> None:
    torch.manual_seed(seed)
    model = Frames()
    data = dataset(seed, LAWS, EACH)
    schedule = Schedule(steps, learning_rate=3e-3, ema=0.999, weight_decay=1e-3, muon=True)
    state = fit(rank, world, folder, "reaction", model, objective_of(model, data), schedule, seed)
    save_weights(state, folder / "reaction.safetensors")


def train(folder: Path, steps: int = 5000, seed: int = 0) -> None:
    """Train to `steps`, resuming from `folder`, one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    launch(_train, 1, folder, steps, seed)


if __name__ == "__main__":
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    train(Path(options["out"]), int(options.get("steps", 5000)), int(options.get("seed", 0)))
