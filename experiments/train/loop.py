"""The training loop shared by autoencoder, transformer and judge: cosine schedule, EMA, checkpoints, a log.

Every random draw comes from ``(seed, rank, step)``, so a run that was killed and resumed from its checkpoint continues
with the draws it would have made.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from physgen.arguments import finite, whole
from physgen.experiments.train.distributed import average_gradients, gather

Draw = np.random.Generator
Objective = Callable[[Draw, torch.Generator, float], tuple[Tensor, dict[str, float]]]


@dataclass
class Schedule:
    """Linear warm-up, then cosine decay to ``floor`` times the peak; ``ema`` decays to its limit as (1+n)/(20+n)."""

    steps: int
    learning_rate: float
    warmup: int = 100
    floor: float = 0.01
    ema: float = 0.998
    weight_decay: float = 1e-2
    muon: bool = False
    log_every: int = 50
    checkpoint_every_s: float = 120.0

    def check(self, name: str) -> None:
        """Refuse what cannot train, by the name of the option that holds the schedule.

        Raises: InvalidArgument.

        >>> Schedule(steps=100, learning_rate=-1.0).check("schedule")
        Traceback (most recent call last):
        physgen.errors.InvalidArgument: schedule.learning_rate=-1.0: allowed: a finite number > 0
        """
        for key in ("steps", "warmup", "log_every"):
            whole(f"{name}.{key}", getattr(self, key))
        finite(f"{name}.learning_rate", self.learning_rate, "a finite number > 0", lambda value: value > 0)
        finite(f"{name}.ema", self.ema, "from 0 to below 1", lambda value: 0 <= value < 1)
        finite(f"{name}.floor", self.floor, "from 0 to 1", lambda value: 0 <= value <= 1)
        for key in ("weight_decay", "checkpoint_every_s"):
            finite(f"{name}.{key}", getattr(self, key), "a finite number >= 0", lambda value: value >= 0)

    def rate(self, step: int) -> float:
        """Learning rate relative to the peak.

        >>> schedule = Schedule(steps=100, learning_rate=1.0, warmup=10)
        >>> schedule.rate(0), schedule.rate(100)
        (0.1, 0.01)
        """
        warm = min(1.0, (step + 1) / self.warmup)
        return warm * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


def optimisers(model: nn.Module, schedule: Schedule, world: int) -> list[torch.optim.Optimizer]:
    """AdamW, or Muon for the hidden matrices and AdamW for the rest (Jordan et al. 2024; Liu et al. 2502.16982).

    Muon costs as much as a third of the network's two passes, so each of ``world`` workers updates its share of the
    matrices and sends it to the others.
    """
    parameters = list(model.named_parameters())
    hidden = [p for n, p in parameters if schedule.muon and p.ndim == 2 and "block" in n and "relative" not in n]
    chosen = {id(p) for p in hidden}
    rest = [p for _, p in parameters if id(p) not in chosen]
    built: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay)
    ]
    if hidden:
        muon: Callable[..., torch.optim.Optimizer] = torch.optim.Muon
        if world > 1:
            from torch.distributed.optim import ZeroRedundancyOptimizer

            muon = partial(ZeroRedundancyOptimizer, optimizer_class=torch.optim.Muon)
        options: dict[str, Any] = {"lr": schedule.learning_rate, "weight_decay": schedule.weight_decay}
        built.append(muon(hidden, adjust_lr_fn="match_rms_adamw", **options))
    return built


class Ema:
    """Exponential moving average of a state dictionary."""

    def __init__(self, model: nn.Module) -> None:
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int, limit: float) -> None:
        """``ema <- d ema + (1 - d) model``."""
        decay = min(limit, (1 + step) / (20 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


def save(path: Path, payload: object) -> None:
    """Write a checkpoint so that a kill leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def fit(
    rank: int,
    world: int,
    folder: Path,
    name: str,
    model: nn.Module,
    objective: Objective,
    schedule: Schedule,
    seed: int,
    state: Tensor | None = None,
) -> dict[str, Tensor]:
    """Train ``model`` to ``schedule.steps``, resuming from ``folder/name.ckpt``; returns the EMA weights.

    ``objective(draw, generator, progress)`` returns the loss of one micro-batch and figures for the log. What it
    remembers from step to step is ``state``, which it changes in place. Checkpoint and log are written by rank 0, the
    checkpoint with the states ``[world, ...]`` of all workers; one of before has none, and its objective begins anew.
    """
    checkpoint, log_path = folder / f"{name}.ckpt", folder / f"{name}.log.jsonl"
    ema, start, spent, spent_cpu = Ema(model), 0, 0.0, 0.0
    optimiser = optimisers(model, schedule, world)
    states: Tensor | None = None
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        ema.state = saved["ema"]
        for one, kept in zip(optimiser, saved["optimisers"], strict=True):
            one.load_state_dict(kept)
        if state is not None and "state" in saved:
            state.copy_(saved["state"][rank % len(saved["state"])])
        start, spent, spent_cpu = saved["step"], saved["seconds"], saved["cpu_seconds"]
        if rank == 0 and log_path.exists():
            lines = [line for line in log_path.read_text().splitlines() if json.loads(line)["step"] <= start]
            log_path.write_text("".join(line + "\n" for line in lines))
    parameters = [p for p in model.parameters() if p.requires_grad]
    began = saved_at = time.monotonic()
    began_cpu = time.process_time()
    sums: dict[str, list[float]] = {}
    bar = tqdm(range(start, schedule.steps), initial=start, total=schedule.steps, desc=name, disable=rank != 0)

    def clocks() -> dict[str, float]:
        return {
            "seconds": round(spent + time.monotonic() - began, 1),
            "cpu_seconds": round(spent_cpu + time.process_time() - began_cpu, 1),
        }

    def checkpoint_now(step: int) -> None:
        for one in optimiser:
            if hasattr(one, "consolidate_state_dict"):  # each worker has the state of its share
                one.consolidate_state_dict()
        if rank:
            return
        trained = {"model": model.state_dict(), "ema": ema.state, "optimisers": [o.state_dict() for o in optimiser]}
        remembered = {} if states is None else {"state": states}
        save(checkpoint, {**trained, **remembered, "step": step, **clocks()})

    for step in bar:
        for one in optimiser:
            for group in one.param_groups:
                group["lr"] = schedule.learning_rate * schedule.rate(step)
        generator = torch.Generator().manual_seed(hash((seed, rank, step)) % 2**63)
        loss, figures = objective(np.random.default_rng([seed, rank, step]), generator, step / schedule.steps)
        for one in optimiser:
            one.zero_grad()
        loss.backward()
        average_gradients(parameters, world)
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for one in optimiser:
            one.step()
        states = None if state is None else gather(state, world)
        if not rank:
            ema.update(model, step, schedule.ema)
            for key, value in {"loss": loss.item(), "gradient_norm": norm.item(), **figures}.items():
                sums.setdefault(key, []).append(value)
        if not rank and ((step + 1) % schedule.log_every == 0 or step + 1 == schedule.steps):
            means = {k: round(float(np.mean(v)), 5) for k, v in sums.items()}
            with log_path.open("a") as stream:
                stream.write(json.dumps({"step": step + 1, **clocks(), **means}) + "\n")
            bar.set_postfix({k: means[k] for k in ("loss",)})
            sums = {}
        waited = torch.tensor(time.monotonic() - saved_at)
        if gather(waited, world)[0] > schedule.checkpoint_every_s:  # by the clock of the first worker
            checkpoint_now(step + 1)
            saved_at = time.monotonic()
    if start < schedule.steps:
        checkpoint_now(schedule.steps)
    return ema.state
