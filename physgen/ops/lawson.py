"""Many steps of Lawson's method in one pass, on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.equations.reaction_system import ReactionSystem
from physgen.ops.generated import kernel_module, kernel_source
from physgen.ops.launch import in_threads

#: values of a frame's steps that are kept for the backward pass; beyond that, segments of sqrt(n) steps are recomputed
KEPT = 2**24


class LawsonSteps:
    """u after n steps of Lawson's fourth order method, and the adjoint of that: first derivatives only.

    k1 = R(u), k2 = R(E u + h/2 E k1), k3 = R(E u + h/2 k2), k4 = R(E (E u + h k3)),
    u <- E (E u + h/6 E k1 + h/3 (k2 + k3)) + h/6 k4,  E = exp(h/2 D lap)

    Args:
        system: R.
        heat: E along each axis of space, one or two, ``[S, N, N]``, symmetric, in the fields' dtype.
        constants: value at the walls of each species, and the parameters.
        h: length of a step, s.
        steps: n.

    Source: Lawson (1967), SIAM J. Numer. Anal. 4:372.
    """

    def __init__(
        self, system: ReactionSystem, heat: Sequence[Tensor], constants: Sequence[float], h: float, steps: int
    ) -> None:
        dtype = heat[0].dtype
        self._module = kernel_module(kernel_source(system, "lawson"), "lawson", str(dtype).removeprefix("torch."))
        down, along = _matrices(heat)
        real = down.dtype.type
        self._arguments = (down, along, np.array(constants, real), real(h), steps)
        self._steps = steps

    def __call__(self, u: Float[Tensor, "B S T *space"]) -> Float[Tensor, "B S T *space"]:
        """Every frame n steps later."""
        frames = _by_frame(u)
        in_threads(partial(self._module.march, frames, *self._arguments), len(frames))
        return _as_fields(frames, u)

    def vjp(self, u: Float[Tensor, "B S T *space"], cotangent: Float[Tensor, "B S T *space"]) -> Tensor:
        """Transposed derivative at u, times a cotangent."""
        frames, products = _by_frame(u), _by_frame(cotangent)
        whole = self._steps * frames[0].size <= KEPT
        length = self._steps if whole else math.isqrt(self._steps - 1) + 1
        work: Any = partial(self._module.march_back, frames, products, *self._arguments, length)
        in_threads(work, len(frames))
        return _as_fields(products, u)


class Linearised:
    """Change of a trajectory's frames with its first one, in float32: growth and heat flow, in turn.

    m <- E exp(h (J[p] + J[p+1]) / 2) m  in every part p of a frame interval,  E = exp(h D lap)

    Args:
        system: R.
        heat: E along each axis of space, one or two, ``[S, N, N]``, symmetric.
        jacobian: J at the start of every part, and the end of the last, ``[1, S, S, P+1, *space]``, 1/s.
        h: length of a part, s.
        parts: of a frame interval.

    Source: splitting: Strang (1968), SIAM J. Numer. Anal. 5:506; exponential: Higham (2005), SIAM J. Matrix Anal. Appl.
        26:1179.
    """

    def __init__(self, system: ReactionSystem, heat: Sequence[Tensor], jacobian: Tensor, h: float, parts: int) -> None:
        self._module = kernel_module(kernel_source(system, "lawson"), "lawson")
        rates = jacobian[0].movedim(2, 0).flatten(3).float().contiguous().numpy()
        self._growth = np.empty_like(rates[1:])
        self._module.growth(rates, self._growth, np.float32(h / 2))
        self._heat, self._parts = _matrices([kernel.float() for kernel in heat]), parts
        self._space = jacobian.shape[4:]

    def __call__(self, m: Float[Tensor, "1 S 1 *space"]) -> Float[Tensor, "1 S T *space"]:
        """Of all frames, for a change m of the first one."""
        frames = np.empty((len(self._growth) // self._parts + 1, *self._growth.shape[2:]), np.float32)
        frames[0] = _by_frame(m)[0]
        self._module.tangent(frames, self._growth, *self._heat, self._parts)
        return torch.from_numpy(frames).transpose(0, 1).reshape(1, -1, len(frames), *self._space).to(m)

    def adjoint(self, frames: Float[Tensor, "1 S T *space"]) -> Float[Tensor, "1 S 1 *space"]:
        m = np.empty(self._growth.shape[2:], np.float32)
        self._module.tangent_back(_by_frame(frames.float()), m, self._growth, *self._heat, self._parts)
        return torch.from_numpy(m).view(1, -1, 1, *self._space).to(frames)


def _matrices(heat: Sequence[Tensor]) -> list[np.ndarray]:
    """Along the rows' axis and the columns'; a line is one row."""
    still = torch.ones(len(heat[0]), 1, 1, dtype=heat[0].dtype)
    return [kernel.contiguous().numpy() for kernel in (still, *heat)[-2:]]


def _by_frame(u: Tensor) -> np.ndarray:
    """A copy ``[B T, S, N]``."""
    return u.detach().transpose(1, 2).flatten(0, 1).flatten(2).clone(memory_format=torch.contiguous_format).numpy()


def _as_fields(frames: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(frames).view(like.shape[0], like.shape[2], like.shape[1], *like.shape[3:]).transpose(1, 2)
