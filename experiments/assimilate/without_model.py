"""What needs no model: interpolation, denoising, and the law alone."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import LinearOperator, cg
from skimage.restoration import denoise_nl_means
from torch import Tensor

from physgen.constraints import Observed, ReactionDiffusion
from physgen.errors import NoSolution
from physgen.experiments.assimilate.observations import DARK, PHOTONS
from physgen.grid import Grid

#: roughness per squared unit of noise, and what a difference between frames counts beside one between pixels; what
#: stands for the noise of an observation without noise; iterations. Found on development prompts.
SMOOTH, IN_TIME, EXACT, ITERATIONS = 300.0, 1.0, 1e-3, 100
#: weight of an interpolated value beside an observed one in the law alone: found on development prompts
WEIGHT = 1e-3
#: times that the trajectory takes the place of the interpolated fields
OUTER = 4


def interpolated(seen: Observed) -> Float[Tensor, "1 S T H W"]:
    """The smoothest fields near what was observed.

    argmin over f of sum ((f - values) / noise)^2 + 300 sum |f_i - f_j|^2 over neighbours in space and time

    by conjugate gradients. Without noise it is harmonic between the observed values.
    """
    values = torch.where(seen.mask, seen.values[0], 0.0).double().numpy()
    weight = np.zeros_like(values)
    weight[seen.mask.numpy()] = 1 / EXACT**2 if seen.hard else 1 / seen.noise.double().numpy() ** 2
    return torch.from_numpy(np.stack([_smoothest(v, w) for v, w in zip(values, weight, strict=True)]))[None].float()


def _smoothest(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    size, shape = values.size, values.shape
    parts = np.array([IN_TIME, 1.0, 1.0]) * SMOOTH

    def apply(flat: np.ndarray) -> np.ndarray:
        f = flat.reshape(shape)
        out = weight * f
        for axis, part in enumerate(parts):
            step = part * np.diff(f, axis=axis)
            out -= np.diff(step, axis=axis, prepend=0, append=0)
        return out.ravel()

    diagonal = (weight + 2 * parts.sum()).ravel()
    system = LinearOperator((size, size), matvec=apply, dtype=float)
    scaled = LinearOperator((size, size), matvec=lambda x: x / diagonal, dtype=float)
    start = gaussian_filter(weight * values, 6) / np.maximum(gaussian_filter(weight, 6), 1e-12 * weight.max())
    found, _ = cg(system, (weight * values).ravel(), x0=start.ravel(), rtol=1e-6, maxiter=ITERATIONS, M=scaled)
    return found.reshape(shape)


def without_noise(seen: Observed) -> Float[Tensor, "1 S T H W"]:
    """Non-local means of what was observed everywhere, after a transform that makes its noise the same everywhere.

    Source: Buades, Coll and Morel (2011), Image Processing On Line 1:208; square roots of counts: Anscombe (1948).
    """
    counts = PHOTONS * (seen.values[0] + DARK).double().numpy()
    options = {"patch_size": 3, "patch_distance": 5, "h": 0.8, "sigma": 1.0, "fast_mode": True}
    even = np.stack([denoise_nl_means(2 * np.sqrt(species + 3 / 8), **options) for species in counts])
    return torch.from_numpy(((even / 2) ** 2 - 3 / 8) / PHOTONS - DARK)[None].float()


def law_alone(seen: Observed, law: ReactionDiffusion, grid: Grid) -> Float[Tensor, "1 S T H W"]:
    """The trajectory of the law, its constants unknown, that is nearest to what was observed: 4D-Var without a model.

    Where nothing was observed it is drawn weakly to the interpolated fields, since one half of a field of view says
    nothing of the other. The interpolated fields stay where the law blows up near them.
    """
    found = interpolated(seen)
    weight = torch.full_like(found, WEIGHT)
    weight[:, seen.mask] = 1.0 if seen.hard else (seen.noise.square().mean() / seen.noise.square()).float()
    for _ in range(OUTER):
        target = torch.where(seen.mask, seen.values, found)
        with suppress(NoSolution):
            found = law.nearest(target.double(), weight, grid)[0].float()
    return found
