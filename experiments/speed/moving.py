"""What the laws of what moves cost, against the ways one would write them first and scikit-image's optical flow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import isotonic_regression, linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.nn import functional

from physgen.constraints import Periodic, Permanence, Progression, Static, Transport
from physgen.constraints.base import Constraint
from physgen.constraints.transport.carried import carry
from physgen.constraints.transport.motion import Motion
from physgen.experiments.speed.ratios import Pair
from physgen.grid import Grid
from physgen.simulators import blood

#: three frames of the size of a real video, whose flow takes seconds
LARGE = (3, 480, 832)
#: steps of the naive search for a flow, and of the naive projections
EVALUATIONS, STEPS = 100, 100


def with_gradient(law: Constraint, fields: Tensor, grid: Grid) -> Callable[[], Tensor]:
    """Loss of a law and its gradient."""

    def work() -> Tensor:
        x = fields.clone().requires_grad_()
        return torch.autograd.grad(law.loss(x, grid).sum(), x)[0]

    return work


def sampled(frames: Tensor, places: Tensor) -> Tensor:
    """Frames ``[P, H, W]`` at places by torch's bicubic sampling, which knows no periodic edge."""
    size = places.new_tensor(frames.shape[1:]).view(2, 1, 1)
    unit = (2 * places + 1) / size - 1
    return functional.grid_sample(
        frames[:, None], unit.flip(1).movedim(1, 3), mode="bicubic", padding_mode="border", align_corners=False
    )[:, 0]


def sampled_energy(frames: Tensor, d: Tensor, smoothness: float) -> Tensor:
    """The energy of `Transport` as one writes it first: both frames warped by half, squares, slopes by differences."""
    pixels = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=d.dtype) for n in frames.shape[1:]), indexing="ij"))
    left = sampled(frames[1:], pixels + d / 2) - sampled(frames[:-1], pixels - d / 2)
    slopes = sum(frames.diff(dim=dim).square().mean() for dim in (1, 2))
    rough = sum(d.diff(dim=dim).square().sum() for dim in (2, 3))
    return (left.square().sum() + smoothness * slopes * rough) / 2


def naive_flow(frames: Tensor, smoothness: float) -> Callable[[], Tensor]:
    """The energy and its gradient at a flow that autograd and L-BFGS search for, from rest, at one resolution."""

    def work() -> Tensor:
        motion = Motion(True, "free", frames.shape[1], frames.shape[2], (1.0, 1.0))
        z = torch.zeros(len(frames) - 1, motion.unknowns, requires_grad=True)
        search = torch.optim.LBFGS([z], max_iter=EVALUATIONS, max_eval=EVALUATIONS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            search.zero_grad()
            energy = sampled_energy(frames, motion.displacement(z), smoothness)
            energy.backward()
            return energy

        search.step(closure)
        return naive_gradient(frames, motion.displacement(z.detach()), smoothness)

    return work


def naive_gradient(frames: Tensor, d: Tensor, smoothness: float) -> Tensor:
    """Gradient of the energy at a given flow."""
    x = frames.clone().requires_grad_()
    return torch.autograd.grad(sampled_energy(x, d, smoothness), x)[0]


def given_gradient(frames: Tensor, d: Tensor, motion: Motion) -> Tensor:
    """The same of the library: what is left, and its gradient."""
    x = frames.clone().requires_grad_()
    left = carry(x[:-1, None], x[1:, None], d, motion, False, False).residual
    return torch.autograd.grad(left.square().sum() / 2, x)[0]


def optical_flow(name: str, frames: Tensor) -> Callable[[], object]:
    """Flow of every pair by scikit-image: no residual, no gradient."""
    from skimage import registration

    movie = frames.numpy().astype(np.float32)
    return lambda: [getattr(registration, name)(after, before) for before, after in pairwise(movie)]


def shifted_back(frames: Tensor) -> Tensor:
    """The nearest steady flow along x, by trying each speed of `Transport` in steps of 1/20 pixel a frame."""
    modes, waves = torch.fft.rfft(frames), 2 * torch.pi * torch.fft.rfftfreq(frames.shape[2])
    time = torch.arange(len(frames), dtype=torch.float32)
    best, found = torch.full(frames.shape[1:2], torch.inf), torch.empty_like(frames)
    for speed in torch.arange(-60, 61) / 20:
        turn = torch.polar(torch.ones(len(time), len(waves)), speed * time[:, None] * waves)
        still = (modes * turn[:, None]).mean(0)
        near = torch.fft.irfft(still * turn[:, None].conj(), n=frames.shape[2])
        left = (near - frames).square().sum((0, 2))
        found = torch.where((left < best)[:, None], near, found)
        best = best.minimum(left)
    return found


def descended(law: Constraint, fields: Tensor, grid: Grid) -> Callable[[], Tensor]:
    """Fields after steps down the loss by autograd: a projection where there is no closed form."""

    def work() -> Tensor:
        x = fields.clone()
        for _ in range(STEPS):
            seen = x.requires_grad_()
            x = (x - torch.autograd.grad(law.loss(seen, grid).sum(), seen)[0]).detach()
        return x

    return work


def regressed(fields: Tensor) -> Tensor:
    """Isotonic regression of every pixel by SciPy, one after the other."""
    series = fields.flatten(3)[0, 0].double().numpy()
    return torch.from_numpy(np.stack([isotonic_regression(x).x for x in series.T], 1))


def large_video() -> Tensor:
    """A texture that turns about the middle by up to five pixels a frame, ``[1, 1, T, H, W]``."""
    frames, height, width = LARGE
    noise = torch.randn(1, 1, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    texture = functional.interpolate(noise, (height, width), mode="bicubic")[0]
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    turns = 0.01 * torch.arange(frames, dtype=torch.float32)
    places = [
        torch.stack([y * turn.cos() - x * turn.sin() + height / 2, y * turn.sin() + x * turn.cos() + width / 2])
        for turn in turns
    ]
    return sampled(texture.expand(frames, -1, -1), torch.stack(places))[None, None]


def flow_pairs(fields: Tensor, grid: Grid, repeats: int) -> list[Pair]:
    """Flows of one video: ours against each of the others."""
    law, frames = Transport(), fields[0, 0]
    motion = Motion(True, "free", frames.shape[1], frames.shape[2], (1.0, 1.0))
    d = law.velocity(fields, grid)[0] * grid.dt / grid.cell_area**0.5
    ours, given = with_gradient(law, fields, grid), "Transport, loss + gradient"
    others: dict[str, Callable[[], object]] = {
        "plain copy": fields.clone,
        "naive: L-BFGS, 100 autograd evaluations": naive_flow(frames, law.smoothness),
        **{
            f"scikit-image {name}, flow only": optical_flow(name, frames)
            for name in ("optical_flow_ilk", "optical_flow_tvl1")
        },
    }
    return [
        *(Pair(given, ours, name, other, repeats) for name, other in others.items()),
        Pair(
            "Transport, loss + gradient of a given flow",
            lambda: given_gradient(frames, d, motion),
            "naive: grid_sample + autograd",
            lambda: naive_gradient(frames, d, law.smoothness),
            3 * repeats,
        ),
        Pair("Transport, fit", lambda: law.fit(fields, grid), "its loss + gradient", ours, repeats),
        Pair(
            "Transport(steady=True), loss + gradient",
            with_gradient(Transport(steady=True), fields, grid),
            given,
            ours,
            repeats,
        ),
    ]


def tracked(fields: Tensor) -> Callable[[], object]:
    """Peaks of scikit-image, linked by the linear assignment of SciPy: no loss, no gradient."""
    from skimage.feature import peak_local_max

    movie = fields[0, 0].numpy()

    def work() -> None:
        spots = [peak_local_max(gaussian_filter(frame, 2.0), min_distance=4, threshold_rel=0.5) for frame in movie]
        for before, after in pairwise(spots):
            linear_sum_assignment(cdist(before, after))

    return work


def pairs() -> list[Pair]:
    """The rows of one simulated clip of blood."""
    clips = blood.simulate(1, rng=np.random.default_rng(21))
    fields, grid = torch.from_numpy(clips.fields[:, :1]).float(), clips.grid
    steady, lasting = Transport(form="steady"), with_gradient(Permanence(radius=4.0), fields, grid)

    def projected(law: Constraint) -> Callable[[], Tensor]:
        return lambda: law.project(fields, grid)

    rows = [
        *flow_pairs(fields, grid, 3),
        Pair(
            "Transport(form='steady'), loss + gradient",
            with_gradient(steady, fields, grid),
            "plain copy",
            fields.clone,
            5,
        ),
        Pair(
            "Transport(form='steady'), projection",
            projected(steady),
            "naive: 121 speeds tried, float32",
            lambda: shifted_back(fields[0, 0]),
            5,
        ),
        Pair("Permanence, loss + gradient", lasting, "plain copy", fields.clone, 5),
        Pair(
            "Permanence, loss + gradient", lasting, "scikit-image peaks, SciPy links, no gradient", tracked(fields), 5
        ),
    ]
    others: list[tuple[str, Constraint, str, Callable[[], object]]] = [
        ("Progression('pixels')", Progression("pixels"), "SciPy, pixel by pixel", lambda: regressed(fields)),
        *(
            (type(law).__name__, law, f"naive: {STEPS} steps of autograd", descended(law, fields, grid))
            for law in (Progression(), Periodic(), Static())
        ),
    ]
    for name, law, against, other in others:
        rows.append(Pair(f"{name}, projection", projected(law), "plain copy", fields.clone, 5))
        rows.append(Pair(f"{name}, projection", projected(law), against, other, 3))
    return rows
