"""Systems with constant coefficients in a frame, solved mode by mode whatever its walls are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.dynamics.spectral import eigenbasis

#: cells along an axis up to which products with matrices of cosines are as fast as Fourier transforms
DENSE = 128


@dataclass(frozen=True)
class Modes:
    """Eigenvectors of the discrete Laplacian in a frame, at the walls of `stencil`.

    theta_k = pi k / n (``no-flux``), pi (k + 1) / n (``dirichlet``), 2 pi k / n (``periodic``) along an axis of n cells

    To them steps from cell to cell are sum (2 - 2 cos theta) / h^2, and central differences sum sin^2 theta / h^2.

    Source: Strang (1999), The Discrete Cosine Transform, SIAM Review 41:135; by a Fourier transform of n values:
        Makhoul (1980), IEEE Trans. Acoust. Speech Signal Process. 28:27.
    """

    cells: tuple[int, int]
    spacing: tuple[float, float]
    walls: str

    def solver(
        self, symbol: Callable[[Tensor, Tensor], Tensor], like: Tensor
    ) -> Callable[[Float[Tensor, "N C H W"]], Float[Tensor, "N C H W"]]:
        """What divides the modes of fields by ``symbol(steps, central)``, ``[N, *modes]``.

        >>> solve = Modes((3, 4), (1.0, 1.0), "no-flux").solver(lambda steps, _: 2 + steps[None], torch.zeros(1))
        >>> solve(torch.ones(1, 1, 3, 4)).round(decimals=6).unique().tolist()
        [0.5]
        """
        kind = _periodic if self.walls == "periodic" else _dense if max(self.cells) <= DENSE else _paired
        (rows, columns), there, back = kind(self, like)
        steps, central = (
            of(rows, self.spacing[0]) + of(columns, self.spacing[1])
            for of in (lambda theta, h: (2 - 2 * theta.cos()) / h**2, lambda theta, h: theta.sin() ** 2 / h**2)
        )
        part = 1 / symbol(steps.to(like), central.to(like))[:, None]
        return lambda fields: back(there(fields) * part)


Transform = Callable[[Tensor], Tensor]
Kind = tuple[tuple[Tensor, Tensor], Transform, Transform]


def _periodic(modes: Modes, like: Tensor) -> Kind:
    height, width = modes.cells
    kept = {"dtype": torch.float64, "device": like.device}
    rows, columns = torch.fft.fftfreq(height, **kept), torch.fft.rfftfreq(width, **kept)
    angles = (2 * math.pi * rows[:, None], 2 * math.pi * columns)
    return angles, torch.fft.rfft2, lambda found: torch.fft.irfft2(found, s=modes.cells)


def _dense(modes: Modes, like: Tensor) -> Kind:
    bases = [eigenbasis(n, 1.0, modes.walls)[1].to(like) for n in modes.cells]
    first = 0 if modes.walls == "no-flux" else 1
    rows, columns = (
        math.pi * torch.arange(first, n + first, dtype=torch.float64, device=like.device) / n for n in modes.cells
    )
    down, along = bases
    up, across = (basis.mT.contiguous() for basis in bases)
    return (rows[:, None], columns), lambda fields: up @ fields @ along, lambda found: down @ found @ across


def _paired(modes: Modes, like: Tensor) -> Kind:
    """Cosines k and n - k of an axis as the two halves of a complex number: ``[N, C, K, K', 2 (x), 2 (y)]``."""
    axes = [_Axis(n, modes.walls, like) for n in modes.cells]
    signs = axes[0].signs[:, None] * axes[1].signs if modes.walls == "dirichlet" else None
    (down, along), (height, width) = axes, modes.cells

    def there(fields: Tensor) -> Tensor:
        fields = fields if signs is None else fields * signs
        fields = fields.index_select(3, along.order).index_select(2, down.order)
        found = torch.view_as_real(torch.fft.rfft(fields) * along.turn)
        return torch.view_as_real(torch.fft.rfft(found, dim=2) * down.turn[:, None, None])

    def back(found: Tensor) -> Tensor:
        half = torch.view_as_complex(found) * down.turn[:, None, None].conj()
        half = torch.view_as_complex(torch.fft.irfft(half, n=height, dim=2).contiguous())
        fields = torch.fft.irfft(half * along.turn.conj(), n=width)
        fields = fields.index_select(2, down.back).index_select(3, along.back)
        return fields if signs is None else fields * signs

    return (down.angles[:, None, None, :], along.angles[:, :, None]), there, back


class _Axis:
    """Of n cells: their order in the transform and back, factors of its modes, and the modes' angles ``[K, 2]``.

    Sines are cosines of cells with alternating signs.
    """

    def __init__(self, cells: int, walls: str, like: Tensor) -> None:
        place = torch.arange(cells, device=like.device)
        self.order = torch.cat([place[::2], place[1::2].flip(0)])
        self.back = self.order.argsort()
        self.signs = (1 - 2 * (place % 2)).to(like)
        k = torch.arange(cells // 2 + 1, dtype=torch.float64, device=like.device)
        half = torch.polar(torch.ones_like(k), -math.pi * k / (2 * cells))
        self.turn = half.to(torch.complex128 if like.dtype == torch.float64 else torch.complex64)
        theta = math.pi * torch.stack([k, (cells - k) % cells], 1) / cells
        self.angles = theta if walls == "no-flux" else math.pi - theta
