"""Flows as they are searched for: a stream function, or both components; and how rough they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.transport.smoothing import modes
from physgen.stencil import laplacian

#: what a wall of the flow is to the Laplacian
LAPLACIAN = {"free": "no-flux", "no-slip": "dirichlet", "periodic": "periodic"}


@dataclass(frozen=True)
class Motion:
    """Displacements ``[N, 2, H, W]`` between frames, linear in unknowns z ``[N, M]``.

    ``stream``:  d = (d psi/dx, -d psi/dy), by central differences, plus a uniform drift where space is periodic
    ``general``:  d = z

    Lengths are in units of h, the root of a pixel's area. Of a stream function at pixels the divergence by central
    differences is 0 but for rounding. ``free``: psi goes on for a pixel beyond the frame. ``no-slip``: psi is 0 there
    and in the outermost pixels, and roughness counts walls at which d is 0.

    Source: Horn and Schunck (1981), Artificial Intelligence 17:185; stream function: Batchelor (1967), ch. 2.

    >>> motion = Motion(True, "free", 4, 5, (1.0, 1.0))
    >>> z = torch.arange(6.0).repeat_interleave(7)[None]  # psi = y: a flow to the left
    >>> motion.displacement(z)[0, :, 0, 0].tolist()
    [0.0, -1.0]
    """

    stream: bool
    walls: str
    height: int
    width: int
    spacing: tuple[float, float]

    @property
    def space(self) -> tuple[int, int]:
        """Cells of the unknowns."""
        beyond = {"free": 2, "no-slip": -2, "periodic": 0}[self.walls] if self.stream else 0
        return max(self.height + beyond, 0), max(self.width + beyond, 0)

    @property
    def unknowns(self) -> int:
        """M."""
        return math.prod(self.space) * (1 if self.stream else 2) + 2 * self.drifts

    @property
    def drifts(self) -> bool:
        """Whether a uniform drift is an unknown of its own."""
        return self.stream and self.walls == "periodic"

    def displacement(self, z: Float[Tensor, "N M"]) -> Float[Tensor, "N 2 H W"]:
        """Displacements of unknowns."""
        if not self.stream:
            return z.view(-1, 2, self.height, self.width)
        if self.walls == "periodic":
            psi = z[:, :-2].view(-1, *self.space)
            slopes = [
                _central(psi.roll(-1, dim), psi.roll(1, dim), h)
                for dim, h in ((2, self.spacing[1]), (1, self.spacing[0]))
            ]
            return torch.stack([slopes[0], -slopes[1]], 1) + z[:, -2:, None, None]
        psi = torch.nn.functional.pad(z.view(-1, *self.space), [self._ring] * 4)
        right, left, below, above = psi[:, 1:-1, 2:], psi[:, 1:-1, :-2], psi[:, 2:, 1:-1], psi[:, :-2, 1:-1]
        return torch.stack([_central(right, left, self.spacing[1]), _central(above, below, self.spacing[0])], 1)

    def transposed(self, d: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N M"]:
        """The transpose of `displacement`."""
        if not self.stream:
            return d.flatten(1)
        half_y, half_x = d[:, 0] / (2 * self.spacing[1]), d[:, 1] / (2 * self.spacing[0])
        if self.walls == "periodic":
            psi = half_y.roll(1, 2) - half_y.roll(-1, 2) - half_x.roll(1, 1) + half_x.roll(-1, 1)
            return torch.cat([psi.flatten(1), d.sum((2, 3))], 1)
        psi = d.new_zeros(len(d), self.height + 2, self.width + 2)
        psi[:, 1:-1, 2:] += half_y
        psi[:, 1:-1, :-2] -= half_y
        psi[:, :-2, 1:-1] += half_x
        psi[:, 2:, 1:-1] -= half_x
        ring = self._ring
        return psi[:, ring : self.height + 2 - ring, ring : self.width + 2 - ring].flatten(1)

    def dilation(self, d: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N H W"]:
        """Divergence of d by central differences, one-sided at walls: relative growth of an area between two frames."""
        return self._slope(d[:, 0], 0) + self._slope(d[:, 1], 1)

    def curl(self, d: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N H W"]:
        """Curl of d, d d_y/dx - d d_x/dy, with y downwards: positive turns from x to y, clockwise on a screen."""
        return self._slope(d[:, 0], 1) - self._slope(d[:, 1], 0)

    def transposed_dilation(self, q: Float[Tensor, "N H W"]) -> Float[Tensor, "N 2 H W"]:
        """The transpose of `dilation`."""
        return torch.stack([self._transposed_slope(q, 0), self._transposed_slope(q, 1)], 1)

    def stiffness(self, d: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N 2 H W"]:
        """-lap d: half the gradient of the roughness |grad d|^2 summed over the frame."""
        return -laplacian(d[:, :, None], self.spacing, LAPLACIAN[self.walls])[:, :, 0]

    def roughness(self, d: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N"]:
        """|grad d|^2 summed over the frame."""
        return (d * self.stiffness(d)).sum((1, 2, 3)).clamp(min=0)

    def bases(self, like: Tensor) -> tuple[Float[Tensor, "K K"], Float[Tensor, "L L"]]:
        """Modes of the unknowns along y and x, in columns."""
        rows, columns = (modes(cells, LAPLACIAN[self.walls])[1].to(like) for cells in self.space)
        return rows, columns

    def parts(self, texture: Float[Tensor, "N"], smoothness: float) -> Float[Tensor, "N K L"]:
        """Of each mode, 1 / (C^T (texture - smoothness lap) C), which is nearly diagonal."""
        rows, columns = (modes(cells, LAPLACIAN[self.walls])[0] for cells in self.space)
        (h_y, h_x), lowest = self.spacing, (math.pi / max(self.height, self.width)) ** 2
        steps = (2 - 2 * rows.cos()[:, None]) / h_y**2 + (2 - 2 * columns.cos()) / h_x**2
        symbol = texture[:, None, None] + smoothness * steps.to(texture)
        if self.stream:
            central = rows.sin().square()[:, None] / h_y**2 + columns.sin().square() / h_x**2
            symbol = symbol * central.clamp(min=lowest / 4).to(texture)
        return 1 / symbol

    def smoothed(
        self, z: Float[Tensor, "N M"], texture: Float[Tensor, "N"], parts: Float[Tensor, "N K L"]
    ) -> Float[Tensor, "N M"]:
        """Nearly the inverse of C^T (texture - smoothness lap) C times z: it makes conjugate gradients short."""
        rows, columns = self.bases(z)
        body = (z[:, :-2] if self.drifts else z).reshape(len(z), -1, *self.space)
        found = (rows @ ((rows.mT @ body @ columns) * parts[:, None]) @ columns.mT).flatten(1)
        if not self.drifts:
            return found
        return torch.cat([found, z[:, -2:] / (texture[:, None] * self.height * self.width)], 1)

    @property
    def _ring(self) -> int:
        """Pixels around the unknowns where psi is 0."""
        return 2 if self.walls == "no-slip" else 0

    def _slope(self, f: Tensor, axis: int) -> Tensor:
        h, dim = self.spacing[axis], 1 + axis
        if self.walls == "periodic":
            return _central(f.roll(-1, dim), f.roll(1, dim), h)
        size = f.shape[dim]
        if size == 1:
            return torch.zeros_like(f)
        ends = (f.narrow(dim, 1, 1) - f.narrow(dim, 0, 1)) / h, (f.narrow(dim, -1, 1) - f.narrow(dim, -2, 1)) / h
        inner = _central(f.narrow(dim, 2, size - 2), f.narrow(dim, 0, size - 2), h)
        return torch.cat([ends[0], inner, ends[1]], dim)

    def _transposed_slope(self, q: Tensor, axis: int) -> Tensor:
        h, dim = self.spacing[axis], 1 + axis
        if self.walls == "periodic":
            return _central(q.roll(1, dim), q.roll(-1, dim), h)
        size, out = q.shape[dim], torch.zeros_like(q)
        if size == 1:
            return out
        for place, sign in ((1, 1.0), (0, -1.0)):
            out.narrow(dim, place, 1).add_(q.narrow(dim, 0, 1), alpha=sign / h)
            out.narrow(dim, size - 2 + place, 1).add_(q.narrow(dim, size - 1, 1), alpha=sign / h)
        if size > 2:
            inner = q.narrow(dim, 1, size - 2) / (2 * h)
            out.narrow(dim, 2, size - 2).add_(inner)
            out.narrow(dim, 0, size - 2).sub_(inner)
        return out


def _central(after: Tensor, before: Tensor, h: float) -> Tensor:
    return (after - before) / (2 * h)
