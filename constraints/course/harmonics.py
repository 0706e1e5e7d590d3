"""Waves of one period along time, and the period with which they explain most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

#: frequencies that are tried, to one over the length of the video
OVERSAMPLED = 32
#: part that a shorter period may leave more than the best one: multiples of a period explain as much
TIE = 1.05
#: part of the power that a frequency between two that are tried leaves of an exact wave, or more
NEGLIGIBLE = 3e-3
#: part of the largest singular value of waves that one has which is told apart from the others
DISTINCT = 0.15
#: halvings of the interval in which the least misfit lies
HALVINGS = 50
#: rise of the misfit, in units of what is left per frame, at the ends of a 95 % interval
RISE = 3.84


def waves_of(frames: int, frequency: Float64[Tensor, "*n"], harmonics: int) -> Float64[Tensor, "*n T K"]:
    """1, and the cosines and sines of the harmonics of a frequency in cycles per frame.

    >>> waves_of(4, torch.tensor(0.25, dtype=torch.float64), 1).round().T.tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, -1.0, -0.0], [0.0, 1.0, 0.0, -1.0]]
    """
    turns = torch.arange(frames, dtype=torch.float64)[:, None] * torch.arange(1, harmonics + 1, dtype=torch.float64)
    phase = 2 * torch.pi * frequency[..., None, None] * turns
    return torch.cat([torch.ones_like(phase[..., :1]), phase.cos(), phase.sin()], -1)


def harmonics_below(frequency: float, most: int) -> int:
    """How many harmonics of a frequency two frames still tell apart.

    >>> harmonics_below(0.2, 3), harmonics_below(0.01, 3)
    (2, 3)
    """
    return max(1, min(most, int(0.5 / frequency - 1e-9)))


def basis_of(frames: int, frequency: float, harmonics: int) -> Float64[Tensor, "T K"]:
    """Orthonormal waves of one frequency, those above half of the frame rate as frames show them.

    Of waves that frames do not tell apart, such as the second and third of five frames, one is left.

    >>> basis = basis_of(12, 0.125, 2)
    >>> torch.allclose(basis.T @ basis, torch.eye(5, dtype=torch.float64))
    True
    """
    waves = waves_of(frames, torch.tensor(frequency, dtype=torch.float64), harmonics)
    basis, size, _ = torch.linalg.svd(waves, full_matrices=False)
    return basis[:, size > DISTINCT * size[0]]


@dataclass(frozen=True)
class Beat:
    """The frequency of a video, in cycles per frame.

    Attributes:
        frequency: with which least is left.
        low, high: ends of its 95 % interval.
        explained: part of the power about the mean over time that its waves explain.
    """

    frequency: float
    low: float
    high: float
    explained: float


@torch.no_grad()
def find_beat(gram: Float[Tensor, "T T"], most: int, lowest: float, highest: float) -> Beat:
    """The frequency whose waves leave least of a video, given the products of its frames ``G_tu = <c_t, c_u>``.

    Searched on the CPU, wherever the products are: they are few.

    left(f) = tr G - tr Q(f)' G Q(f);  f = argmin left(f) / (T - 1 - 2 K(f))

    of all pixels together, so that a beat far below the noise of one pixel is found. Of frequencies that leave within
    5 % of the least (or 0.003 of the power) the highest is taken, since a multiple of a period explains as much. The
    minimum is the root of the derivative. The interval is where left(f) < left (1 + 3.84 / (T - 2 - 2 K)): pixels of
    one frame are not independent, so frames alone count as observations.

    Source: harmonic least squares, Quinn and Hannan (2001), The Estimation and Tracking of Frequency, chapter 5;
        profile likelihood, Venzon and Moolgavkar (1988), Appl. Statist. 37:87.

    >>> beats = torch.exp(torch.cos(2 * torch.pi * torch.arange(40.0, dtype=torch.float64) / 7.3))[:, None]
    >>> round(1 / find_beat(beats @ beats.T, 3, 1 / 40, 0.45).frequency, 2)
    7.3
    """
    frames = len(gram)
    gram = gram.double().cpu()
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    total = float(centred.trace())
    step = 1 / (OVERSAMPLED * frames)
    tried = torch.arange(lowest, highest + step / 2, step, dtype=torch.float64)
    if total <= 0:
        return Beat(float(tried[0]), lowest, highest, 0.0)
    counts = torch.tensor([harmonics_below(f, most) for f in tried.tolist()])
    left = torch.empty_like(tried)
    for count in counts.unique().tolist():
        left[counts == count] = _left(centred, tried[counts == count], count)
    per_freedom = left / (frames - 1 - 2 * counts).clamp(min=1)
    enough = max(TIE * float(per_freedom.min()), float(per_freedom.min()) + NEGLIGIBLE * total / (frames - 1))
    best = _lowest_of_the_last_valley(per_freedom, enough)
    count = int(counts[best])
    frequency = _root(centred, float(tried[best]), step, count)
    least = max(float(_left(centred, torch.tensor([frequency], dtype=torch.float64), count)), 0.0)
    near = (left <= least * (1 + RISE / max(frames - 2 - 2 * count, 1))) & (counts == count)
    first, last = best, best
    while first > 0 and bool(near[first - 1]):
        first -= 1
    while last < len(tried) - 1 and bool(near[last + 1]):
        last += 1
    low, high = float(tried[first]) - step, float(tried[last]) + step
    return Beat(frequency, max(low, step), high, 1 - least / total)


def _lowest_of_the_last_valley(values: Tensor, enough: float) -> int:
    """Index of the minimum of the valley below ``enough`` that has the highest frequency."""
    at = int((values <= enough).nonzero()[-1])
    while at > 0 and bool(values[at - 1] < values[at]):
        at -= 1
    return at


def _left(gram: Float64[Tensor, "T T"], frequency: Float64[Tensor, "n"], count: int) -> Float64[Tensor, "n"]:
    basis = torch.linalg.qr(waves_of(len(gram), frequency, count)).Q
    return gram.trace() - torch.einsum("ntk,tu,nuk->n", basis, gram, basis)


def _root(gram: Float64[Tensor, "T T"], near: float, step: float, count: int) -> float:
    """The frequency about ``near`` at which the derivative of what is left is zero."""
    low, high = near - step, near + step
    if not _slope(gram, low, count) < 0 < _slope(gram, high, count):
        return near
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(gram, middle, count) < 0 else (low, middle)
    return (low + high) / 2


@torch.enable_grad()
def _slope(gram: Float64[Tensor, "T T"], frequency: float, count: int) -> float:
    f = torch.tensor([frequency], dtype=torch.float64, requires_grad=True)
    return float(torch.autograd.grad(_left(gram, f, count).sum(), f)[0])
