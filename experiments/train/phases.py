"""Train the classifier of mitotic phases: `python -m physgen.experiments.train.phases out=DIR`.

It sees simulated cells only, in three ways: the simulator's chromatin; what a colour map reads off its rendered videos,
where membrane, spindle and cytoplasm shine through; and cells of other shapes, sizes, resolutions and durations, pieces
of divisions included. The last two are seen through a camera with blur, noise and uneven brightness.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import Tensor

from physgen.constraints.mitosis.classifier import PHASES, PhaseClassifier, in_context
from physgen.constraints.mitosis.evidence import RELATIVE_FEATURES, phase_evidence, typical
from physgen.errors import InvalidArgument
from physgen.experiments.runs.records import write_json_atomic
from physgen.grid import Grid
from physgen.simulators.base import FRAMES, SIZE, Array, sigmoid, smoothstep
from physgen.simulators.mitosis import (
    COLOURS,
    CYTOPLASM,
    MEMBRANE,
    ORIENTATION,
    SPINDLE,
    Cell,
    chromatin,
    clock,
    column,
    draw_cells,
    outline,
    spindle,
)

KINDS = ("simulator", "rendered", "varied", "varied")
#: share of the batches of each kind that is never trained on
HELD_OUT = 0.1


@dataclass
class PhaseTraining:
    """Settings; the ``batch`` clips simulated together share kind, size and number of frames; half are ``varied``.

    A step sees ``together`` batches; of a batch of varied clips ``pieces`` times out of one a random piece.
    """

    out: str = "phases"
    seed: int = 0
    clips: int = 4800
    batch: int = 10
    steps: int = 15000
    together: int = 4
    pieces: float = 0.7
    rate: float = 3e-3
    decay: float = 1e-2


@dataclass(frozen=True)
class Clips:
    """Evidence ``[B, T, F]`` and phases ``[B, T]``."""

    kind: str
    features: Tensor
    phases: Tensor

    def piece(self, start: int, stop: int) -> Clips:
        """These frames only, and features relative to these only."""
        relative, others = self.features[:, start:stop].tensor_split([RELATIVE_FEATURES], -1)
        relative = relative - typical(relative.exp()).log()
        return Clips(self.kind, torch.cat([relative, others], -1), self.phases[:, start:stop])


def draw_clips(kind: str, batch: int, rng: np.random.Generator) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Brightness of chromatin and cell ``[B, T, H, W]`` and phases ``[B, T]``."""
    varied = kind == "varied"
    size = int(rng.choice([40, 48, 64, 80])) if varied else SIZE
    cell = draw_cells(rng.choice(list(ORIENTATION), batch).tolist(), size, rng)
    if varied:
        cell = deform(cell, rng)
    progress = uneven_clock(batch, rng) if varied else clock(batch, FRAMES, rng)
    p = progress[:, :, None, None]
    distance = outline(cell, p)
    body = sigmoid(-distance / 0.8)
    parts = (np.exp(-((distance / 1.7) ** 2)), spindle(cell, p) * body, body)
    if varied:
        density = stain(chromatin(condense(cell, p, rng), p), cell, rng)
        shares = [lots(rng, batch, 0, most, chance=0.5) for most in (0.35, 0.3, 0.2)]
    elif kind == "rendered":
        density = chromatin(cell, p)
        colours = np.stack([COLOURS[name] for name in rng.choice(list(COLOURS), batch)])
        shares = [column((colours @ other) / (colours**2).sum(1)) for other in (MEMBRANE, SPINDLE, CYTOPLASM)]
    else:
        density = chromatin(cell, p)
        shares = [np.zeros(1)] * len(parts)
    density = density + sum(share * part for share, part in zip(shares, parts, strict=True))
    return density, body, np.floor(progress).astype(np.int64)


def lots(
    rng: np.random.Generator,
    batch: int,
    low: float | int,
    high: float | int,
    chance: float | int = 1,
    otherwise: float | int = 0,
) -> Array:
    """A uniform number for each clip ``[B, 1, 1, 1]``, or ``otherwise``."""
    drawn = rng.random((batch,)) < chance
    return column(np.where(drawn, rng.uniform(low, high, (batch,)), otherwise))


def deform(cell: Cell, rng: np.random.Generator) -> Cell:
    """The cells turned, stretched in any direction and zoomed, with other nuclei and textures."""
    batch = len(cell.radius)
    turn, slant = (lots(rng, batch, 0, 2 * np.pi) for _ in range(2))
    stretch, zoom = lots(rng, batch, 0.78, 1.28), lots(rng, batch, 0.6, 1.5)
    u = (cell.along * np.cos(turn) - cell.across * np.sin(turn)) * stretch * zoom
    v = (cell.along * np.sin(turn) + cell.across * np.cos(turn)) / stretch * zoom
    return replace(
        cell,
        along=u * np.cos(slant) - v * np.sin(slant),
        across=u * np.sin(slant) + v * np.cos(slant),
        nucleus=np.minimum(cell.nucleus * lots(rng, batch, 0.8, 1.9), 0.95 * cell.radius),
        texture=0.78 + (cell.texture - 0.78) * lots(rng, batch, 0.3, 1.6),
    )


def condense(cell: Cell, p: Array, rng: np.random.Generator) -> Cell:
    """The cells with shorter and thinner plates, from metaphase to telophase, than the simulator's."""
    plate = smoothstep(2.0, 3.0, p) * (1 - smoothstep(5.0, 6.0, p))
    shorter, thinner = (1 + lots(rng, len(cell.radius), *most) * plate for most in ((-0.1, 0.8), (-0.2, 0.5)))
    return replace(cell, along=cell.along * thinner, across=cell.across * shorter)


def stain(density: Array, cell: Cell, rng: np.random.Generator) -> Array:
    """Chromatin as dyes show it: grainy, brighter where condensed (its mass kept), one pole more in focus."""
    batch, _, height, width = density.shape
    grain = blur(rng.normal(size=(batch, 1, height, width)), lots(rng, batch, 1, 3))
    grain = 1 + lots(rng, batch, 0, 0.3) * grain / grain.std((-2, -1), keepdims=True)
    focus = 1 + lots(rng, batch, -0.5, 0.5) * np.tanh(cell.along / cell.nucleus)
    mass = density.sum((-2, -1), keepdims=True)
    condensation = (mass.mean(1, keepdims=True) / mass) ** lots(rng, batch, 0, 1.2, chance=0.7)
    return np.clip(density * grain * focus, 0, None) * condensation


def uneven_clock(batch: int, rng: np.random.Generator) -> Array:
    """Clock ``[B, T]`` of phases of very different durations; 2 of 5 batches show a piece of the division only."""
    frames = int(rng.integers(12, 50))
    shares = np.exp(rng.normal(0, 0.9, (batch, len(PHASES))))
    edges = np.concatenate([np.zeros((batch, 1)), shares.cumsum(1)], 1)
    span = np.sort(rng.random((2, batch, 1)), 0) if rng.random() < 0.4 else np.array([0.0, 1.0])[:, None, None]
    times = edges[:, -1:] * (span[0] + (span[1] - span[0]) * (np.arange(frames) + 0.5) / frames)
    return np.stack([np.interp(t, row, np.arange(len(PHASES) + 1)) for t, row in zip(times, edges, strict=True)])


def expose(field: Array, rng: np.random.Generator) -> Array:
    """Blur, gamma, unsteady gain, offset and noise of a camera, other ones for each clip."""
    batch, frames = field.shape[:2]
    seen = np.clip(blur(field, lots(rng, batch, 0, 1.5, chance=0.6)), 0, None)
    seen = seen ** lots(rng, batch, 0.7, 1.4, chance=0.5, otherwise=1)
    gain = np.exp(rng.normal(0, 0.05, (batch, frames, 1, 1)) * lots(rng, batch, 0, 1, chance=0.5))
    noise = lots(rng, batch, 0, 0.1, chance=0.7) * rng.normal(size=field.shape)
    return gain * seen + lots(rng, batch, 0, 0.3) + noise


def blur(field: Array, sigma: Array) -> Array:
    """Gaussian blur of ``sigma`` pixels, periodic."""
    height, width = field.shape[-2:]
    k2 = (2 * np.pi) ** 2 * (np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2)
    return np.fft.irfft2(np.fft.rfft2(field) * np.exp(-k2 * sigma**2 / 2), s=(height, width))


def collect(settings: PhaseTraining, rng: np.random.Generator) -> dict[str, list[Clips]]:
    """Evidence of batches of clips, by kind."""
    grid = Grid(spacing=(1.0, 1.0), dt=1.0)
    found: dict[str, list[Clips]] = {kind: [] for kind in KINDS}
    for index in range(settings.clips // settings.batch):
        kind = KINDS[index % len(KINDS)]
        density, body, phases = draw_clips(kind, settings.batch, rng)
        if kind != "simulator":
            density, body = expose(density, rng), expose(body, rng)
        features = phase_evidence(torch.from_numpy(density), torch.from_numpy(body), grid)
        found[kind].append(Clips(kind, features.float(), torch.from_numpy(phases)))
    return found


def train(settings: PhaseTraining, batches: Sequence[Clips]) -> PhaseClassifier:
    """Cross-entropy of frames, every other step without their cell."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    model = PhaseClassifier()
    every = torch.cat([in_context(batch.features).flatten(0, 1) for batch in batches])
    model.mean.copy_(every.mean(0))
    model.std.copy_(every.std(0))
    optimiser = torch.optim.AdamW(model.layers.parameters(), settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, settings.steps)
    for step in range(settings.steps):
        seen = [batches[index] for index in rng.integers(len(batches), size=settings.together)]
        for index, batch in enumerate(seen):
            if batch.kind == "varied" and rng.random() < settings.pieces:
                seen[index] = batch.piece(*a_piece(batch.phases.shape[1], rng))
        context = torch.cat([in_context(batch.features).flatten(0, 1) for batch in seen])
        phases = torch.cat([batch.phases.flatten() for batch in seen])
        loss = F.cross_entropy(model.layers(model.inputs(context, cell=step % 2 == 0)), phases)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model


def a_piece(frames: int, rng: np.random.Generator, least: int = 6) -> tuple[int, int]:
    """Start and stop of a piece of at least ``least`` frames."""
    length = int(rng.integers(min(least, frames), frames + 1))
    start = int(rng.integers(frames - length + 1))
    return start, start + length


@torch.no_grad()
def confusion(model: PhaseClassifier, batches: Sequence[Clips], cell: bool) -> Tensor:
    """Share ``[7, 7]`` of the frames of each phase (rows) that are named as each phase."""
    named = torch.cat([model(batch.features, cell).argmax(-1).flatten() for batch in batches])
    phases = torch.cat([batch.phases.flatten() for batch in batches])
    counts = torch.bincount(len(PHASES) * phases + named, minlength=len(PHASES) ** 2).view(len(PHASES), -1)
    return counts / counts.sum(1, keepdim=True)


def run(settings: PhaseTraining) -> None:
    """Simulate and train; write ``phase_classifier.safetensors`` and, of held-out clips, ``confusion.json``."""
    if settings.clips < 2 * len(KINDS) * settings.batch:
        raise InvalidArgument("clips", settings.clips, f"at least two batches of each kind, {2 * len(KINDS)} in all")
    batches = collect(settings, np.random.default_rng(settings.seed))
    kept = {kind: int(len(clips) * (1 - HELD_OUT)) for kind, clips in batches.items()}
    model = train(settings, [batch for kind, clips in batches.items() for batch in clips[: kept[kind]]])
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), out / "phase_classifier.safetensors")
    report = {
        f"{kind}, {seen}": confusion(model, clips[kept[kind] :], cell)
        for kind, clips in batches.items()
        for seen, cell in (("chromatin and cell", True), ("chromatin only", False))
    }
    write_json_atomic(out / "confusion.json", {name: table.tolist() for name, table in report.items()})
    for name, table in report.items():
        print(f"{name}: {table.diagonal().mean():.3f}")
        for phase, row in zip(PHASES, table.tolist(), strict=True):
            print(f"{phase:>14}", *(f"{value:6.3f}" for value in row))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(OmegaConf.to_object(OmegaConf.merge(PhaseTraining, OmegaConf.from_cli(sys.argv[1:]))))  # type: ignore[arg-type]
