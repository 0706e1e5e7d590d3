"""Fields of which it is known whether a law holds in them: exact solutions, simulators' clips, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints import Constraint, Count, Periodic, Permanence, Progression, Static, Transport
from physgen.grid import Grid
from physgen.simulators import blood, growth, sheet

EXACT, SIMULATOR, PLANTED = KINDS = ("exact", "simulator", "planted")
#: side and frames of exact solutions, and noise of the second half of the simulators' clips, of the contrast
SIDE, FRAMES, NOISE = 48, 24, 0.02
#: radius of a red cell, µm, is that of `blood`; what a planted jump, fall and vanishing are
CELL, JUMP, FALL = 4.0, 3, 0.2
DIRECTIONS = ("right", "down", "left", "up")

Frames = Float[Tensor, "1 S T H W"]
Cut = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Trial:
    """One video and a law that it obeys or not."""

    kind: str
    what: str
    law: Constraint
    tolerance: float
    fields: Frames
    grid: Grid


def make_trials(count: int, seed: int) -> dict[str, list[Trial]]:
    """Trials of every law that moves, ``count`` of each kind of truth, and of each planted fault of the simulators'.

    >>> trials = make_trials(1, 0)
    >>> [(name, len(found)) for name, found in trials.items()][:3]
    [('transport', 6), ('permanence', 4), ('static', 4)]
    """
    makers: Mapping[str, Callable[[int, np.random.Generator], list[Trial]]] = {
        "transport": _transport,
        "permanence": _permanence,
        "static": _static,
        "progression": _progression,
        "periodic": _periodic,
        "count": _count,
    }
    return {name: make(count, np.random.default_rng(seed)) for name, make in makers.items()}


def _trials(
    law: Constraint | list[Constraint],
    tolerance: float,
    exact: list[Tensor],
    exact_grid: Grid,
    clips: list[Tensor],
    grid: Grid,
    faults: Mapping[str, Cut],
) -> list[Trial]:
    laws = law if isinstance(law, list) else [law] * (len(exact) + len(clips))
    known = laws[len(exact) :]
    found = [Trial(EXACT, "", a, tolerance, x, exact_grid) for a, x in zip(laws, exact, strict=False)]
    found += [Trial(SIMULATOR, "", a, tolerance, x, grid) for a, x in zip(known, clips, strict=True)]
    return found + [
        Trial(PLANTED, name, a, tolerance, cut(x), grid)
        for name, cut in faults.items()
        for a, x in zip(known, clips, strict=True)
    ]


def _noisy(clips: Float[Tensor, "B S T H W"], rng: np.random.Generator) -> list[Tensor]:
    """Clips one by one, every second one with noise."""
    noise = torch.from_numpy(rng.standard_normal(clips.shape)).to(clips)
    return [(clips[i] + (i % 2) * NOISE * noise[i])[None] for i in range(len(clips))]


def _cells(count: int, rng: np.random.Generator, many: str = "a few") -> tuple[Tensor, list[int]]:
    asked = [{"direction": DIRECTIONS[i % 4], "speed": "slowly", "count": many} for i in range(count)]
    clips = blood.simulate(count, rng=rng, attributes=asked)
    return torch.from_numpy(clips.fields), [int(one["cells"]) for one in clips.parameters]


def _waves(rng: np.random.Generator) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Six waves of a frame that repeats itself, drifting by up to two pixels a frame: ``[1, 1, T, H, W]``."""
    y, x = torch.meshgrid(*[torch.arange(SIDE, dtype=torch.float64)] * 2, indexing="ij")
    speed, total = rng.uniform(-2, 2, 2), torch.zeros(FRAMES, SIDE, SIDE, dtype=torch.float64)
    t = torch.arange(FRAMES, dtype=torch.float64).view(-1, 1, 1)
    for _ in range(6):
        k, phase = rng.integers(-4, 5, 2), rng.uniform(0, 2 * np.pi)
        total += torch.cos(2 * np.pi / SIDE * (k[0] * (y - speed[0] * t) + k[1] * (x - speed[1] * t)) + phase)
    return total[None, None], (y, x)


def _transport(count: int, rng: np.random.Generator) -> list[Trial]:
    exact = [_waves(rng)[0] for _ in range(count)]
    clips = _noisy(_cells(count, rng, "many")[0][:, :1], rng)
    faults: dict[str, Cut] = {
        "second part reversed": lambda x: torch.cat([x[:, :, :12], x[:, :, 12:].flip(2)], 2),
        "three frames permuted": lambda x: x[:, :, [*range(11), 12, 13, 11, *range(14, x.shape[2])]],
        "a frame dropped": lambda x: torch.cat([x[:, :, :12], x[:, :, 13:]], 2),
        "light falls by 0.2": lambda x: x * torch.linspace(1, 1 - FALL, x.shape[2]).to(x).view(-1, 1, 1),
    }
    grid = Grid((1.0, 1.0), 1.0, "periodic")
    return _trials(Transport(steady=True), 0.0, exact, grid, clips, blood.GRID, faults)


def _permanence(count: int, rng: np.random.Generator) -> list[Trial]:
    y, x = torch.meshgrid(*[torch.arange(SIDE, dtype=torch.float64)] * 2, indexing="ij")
    exact = []
    for _ in range(count):
        places, speed = rng.uniform(14, 18, 2), rng.uniform(-0.5, 1.0, 2)
        frames = [torch.exp(-((y - places[0] - speed[0] * t) ** 2 + (x - places[1] - speed[1] * t) ** 2) / 12)
                  for t in range(16)]  # fmt: skip
        exact.append(torch.stack(frames)[None, None])
    clips = _noisy(_cells(count, rng)[0][:, :1], rng)
    faults: dict[str, Cut] = {"a cell from nowhere": _with_a_cell, "a cell vanishes": _without_a_cell}
    return _trials(Permanence(CELL), 0.5, exact, Grid((1.0, 1.0), 1.0), clips, blood.GRID, faults)


def _disc(like: Tensor, y: float, x: float) -> Tensor:
    rows, columns = torch.meshgrid(*[torch.arange(float(size)) for size in like.shape[3:]], indexing="ij")
    return torch.sigmoid((CELL - torch.hypot(rows - y, columns - x)) / 0.45).to(like)


def _with_a_cell(fields: Tensor) -> Tensor:
    """One more in a corner, where no vessel is, from the middle on."""
    more = fields.clone()
    more[:, :, 12:] = more[:, :, 12:].maximum(_disc(fields, 4.0, 4.0))
    return more


def _without_a_cell(fields: Tensor) -> Tensor:
    """The extra one of `_with_a_cell` is there in the first part alone."""
    return _with_a_cell(fields.flip(2)).flip(2)


def _static(count: int, rng: np.random.Generator) -> list[Trial]:
    walls = _cells(count, rng)[0][:, 2:]
    exact = [_waves(rng)[0][:, :, :1].expand(-1, -1, FRAMES, -1, -1) for _ in range(count)]
    faults: dict[str, Cut] = {
        "a jump by 3 pixels": lambda x: torch.cat([x[:, :, :12], x[:, :, 12:].roll((JUMP, JUMP), (3, 4))], 2),
        "one half jumps": lambda x: torch.cat([x[:, :, :12], _half_moved(x[:, :, 12:])], 2),
    }
    return _trials(Static(), 0.1, exact, Grid((1.0, 1.0), 1.0), _noisy(walls, rng), blood.GRID, faults)


def _half_moved(fields: Tensor) -> Tensor:
    half = fields.shape[4] // 2
    return torch.cat([fields[..., :half], fields[..., half:].roll((JUMP, JUMP), (3, 4))], 4)


def _progression(count: int, rng: np.random.Generator) -> list[Trial]:
    steps = [torch.from_numpy(rng.uniform(0, 1, FRAMES).cumsum()) for _ in range(count)]
    exact = [step.view(1, 1, -1, 1, 1).expand(1, 1, FRAMES, 8, 8) for step in steps]
    clips = growth.simulate(count, rng=rng)
    faults: dict[str, Cut] = {
        "reversed": lambda x: x.flip(2),
        "falls by 0.2": lambda x: torch.cat([x[:, :, :12], (1 - FALL) * x[:, :, 12:]], 2),
    }
    fields = _noisy(torch.from_numpy(clips.fields), rng)
    return _trials(Progression(), 0.01, exact, Grid((1.0, 1.0), 1.0), fields, clips.grid, faults)


def _periodic(count: int, rng: np.random.Generator) -> list[Trial]:
    phases = [2 * np.pi * np.arange(FRAMES) / rng.uniform(5, 9) + rng.uniform(0, 2 * np.pi) for _ in range(count)]
    skipped = [np.concatenate([one[:13], one[13:] + np.pi]) for one in phases]
    grid = Grid((1.0, 1.0), 0.1)
    clips = sheet.simulate(count, rng=rng)
    beating = _noisy(torch.from_numpy(clips.fields), rng)
    found = _trials(Periodic(), 0.3, [_beat(one) for one in phases], grid, beating, clips.grid, {})
    return found + [Trial(PLANTED, "half a beat skipped", Periodic(), 0.3, _beat(one), grid) for one in skipped]


def _beat(phase: Any) -> Tensor:
    """A disc whose radius follows a phase ``[T]``."""
    y, x = torch.meshgrid(*[torch.arange(32, dtype=torch.float64)] * 2, indexing="ij")
    radius = 8 + 2 * torch.exp(torch.cos(torch.from_numpy(phase))) / np.e
    return torch.sigmoid(radius.view(-1, 1, 1) - torch.hypot(y - 16, x - 16))[None, None]


def _count(count: int, rng: np.random.Generator) -> list[Trial]:
    y, x = torch.meshgrid(*[torch.arange(SIDE, dtype=torch.float64)] * 2, indexing="ij")
    numbers = [int(n) for n in rng.integers(1, 5, count)]
    discs = [sum(torch.sigmoid(4 - torch.hypot(y - 12 - 24 * (k // 2), x - 12 - 24 * (k % 2))) for k in range(n))
             for n in numbers]  # fmt: skip
    exact = [torch.as_tensor(disc).expand(1, 1, 8, -1, -1) for disc in discs]
    fields, cells = _cells(count, rng)
    laws: list[Constraint] = [Count(n) for n in [*numbers, *cells]]
    grid = Grid((1.0, 1.0), 1.0)
    faults: dict[str, Cut] = {"one more from the middle on": _with_a_cell}
    return _trials(laws, 0.1, exact, grid, _noisy(fields[:, :1], rng), blood.GRID, faults)
