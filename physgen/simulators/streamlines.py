"""Streamlines of plane laminar flow through vessels that are straight, bend, or split in two.

    v = curl psi,  psi = Q (3 u^2 - 2 u^3)  across a channel,  u = 0 ... 1 from wall to wall

so the profile is Poiseuille's parabola, zero at the walls, and div v = 0 everywhere, at the split too: there psi goes
over from the parabola of the parent to those of the daughters, whose flows add up to its own. Lengths in µm, the flow
goes along +x through a square of side 64.
Widths of daughters: cube law, Murray 1926, PNAS 12:207.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from physgen.simulators.base import Array, smoothstep

SIDE = 64.0
#: how far outside of the square paths begin and end
OUTSIDE = 7.0
#: points of a path, and across a channel
ALONG, ACROSS = 400, 401
#: frames' lengths over which a parent widens towards its split, and its daughters open
WIDENS, OPENS, TIP = 10.0, 26.0, 3.0


@dataclass(frozen=True)
class Path:
    """A streamline: ``times`` ``[K]`` from 0, s, and ``points`` ``[K, 2]`` as x and y."""

    times: Array
    points: Array

    def at(self, times: Array) -> Array:
        """Points ``[..., 2]`` of something that begins anew where it has left."""
        phase = times % self.times[-1]
        return np.stack([np.interp(phase, self.times, self.points[:, axis]) for axis in (0, 1)], axis=-1)

    @property
    def slowest(self) -> float:
        """Least speed, µm/s."""
        return float((np.hypot(*np.diff(self.points, axis=0).T) / np.diff(self.times)).min())


def _seen(times: Array, points: Array) -> Path:
    """The part of a path that is in the square or near to it."""
    near = np.flatnonzero(((points > -OUTSIDE) & (points < SIDE + OUTSIDE)).all(1))
    kept = slice(near[0], near[-1] + 1)
    return Path(times[kept] - times[near[0]], points[kept])


@dataclass(frozen=True)
class Arc:
    """A vessel whose axis is a circle of radius ``bend`` about ``(32, middle)``, highest (``up``) or lowest half way.

    ``half_width`` R, ``peak`` the speed on the axis: v = peak (1 - (n / R)^2) at the distance n from it, outwards.
    """

    bend: float
    middle: float
    up: bool
    half_width: float
    peak: float

    def depth(self, x: Array, y: Array) -> Array:
        """Distance to the nearest wall, negative outside."""
        return self.half_width - np.abs(np.hypot(x - SIDE / 2, y - self.middle) - self.bend)

    def path(self, n: float) -> Path:
        """The streamline at a distance from the axis."""
        half = min(np.pi / 2, SIDE / self.bend)
        angle = np.linspace(-half, half, ALONG)
        radius = self.bend + n
        up = -1.0 if self.up else 1.0
        points = np.stack([SIDE / 2 + radius * np.sin(angle), self.middle + up * radius * np.cos(angle)], axis=-1)
        speed = self.peak * (1.0 - (n / self.half_width) ** 2)
        return _seen(radius * (angle - angle[0]) / speed, points)


@dataclass(frozen=True)
class Split:
    """A vessel of half width R that splits at ``tip`` into two, R_1 (upper) and R_2, R^3 = R_1^3 + R_2^3.

    A ``share`` q = (R_1 / R)^3 of the flow takes the upper one. ``slope`` is that of the inner walls, far from the tip.
    """

    tip: tuple[float, float]
    slope: float
    share: float
    half_width: float
    peak: float

    @property
    def daughters(self) -> Array:
        """R_1 and R_2."""
        return self.half_width * np.cbrt(np.array([self.share, 1.0 - self.share]))

    def widths(self, x: Array) -> tuple[Array, Array, Array]:
        """Heights of the upper and the lower channel, and half of the gap between them."""
        parts = self.daughters / self.daughters.sum()
        opened = smoothstep(self.tip[0] - WIDENS, self.tip[0] + OPENS, x)
        upper, lower = (
            2.0 * (self.half_width * part + (radius * np.hypot(1.0, self.slope) - self.half_width * part) * opened)
            for part, radius in zip(parts, self.daughters, strict=True)
        )
        beyond = np.maximum(x - self.tip[0], 0.0)
        return upper, lower, self.slope * (np.hypot(beyond, TIP) - TIP)

    def depth(self, x: Array, y: Array) -> Array:
        """Distance to the nearest wall, negative outside: vertical distances times the cosines of the walls' slopes."""
        walls, slopes = self._walls(x), [(high - low) / 0.2 for low, high in self._pairs(x)]
        top, inner_top, inner_bottom, bottom = (
            sign * (y - wall) / np.hypot(1.0, slope)
            for sign, wall, slope in zip((1.0, -1.0, 1.0, -1.0), walls, slopes, strict=True)
        )
        split = np.maximum(np.minimum(top, inner_top), np.minimum(inner_bottom, bottom))
        whole = np.minimum(np.minimum(top, bottom), np.hypot(x - self.tip[0], y - self.tip[1]))
        return np.where(x < self.tip[0], whole, split)

    def _walls(self, x: Array) -> list[Array]:
        upper, lower, gap = self.widths(x)
        y = self.tip[1]
        return [y - gap - upper, y - gap, y + gap, y + gap + lower]

    def _pairs(self, x: Array) -> list[tuple[Array, Array]]:
        return list(zip(self._walls(x - 0.1), self._walls(x + 0.1), strict=True))

    def path(self, upper: bool, u: float) -> Path:
        """The streamline that ends in one of the daughters, at u of its width from its upper wall."""
        x = np.linspace(-OUTSIDE, SIDE + OUTSIDE, ALONG)
        value = self.share * _parabola(u) if upper else self.share + (1.0 - self.share) * _parabola(u)
        first, last, gap = self.widths(x)
        eta, f, row = np.linspace(0.0, 1.0, ACROSS), (first / (first + last))[:, None], np.arange(ALONG)
        double = self.share * _parabola(eta / f) + (1.0 - self.share) * _parabola((eta - f) / (1.0 - f))
        split = smoothstep(self.tip[0] - 1.5 * self.half_width, self.tip[0], x)[:, None]
        psi = (1.0 - split) * _parabola(eta) + split * double
        after = np.clip((psi < value).sum(1), 1, ACROSS - 1)
        part = (value - psi[row, after - 1]) / (psi[row, after] - psi[row, after - 1])
        y = self.tip[1] + (gap if not upper else -gap) - first + (first + last) * (after - 1 + part) / (ACROSS - 1)
        slopes = np.gradient(psi, eta, axis=1)
        slope = slopes[row, after - 1] + part * (slopes[row, after] - slopes[row, after - 1])
        speed = 4.0 / 3.0 * self.peak * self.half_width * slope / (first + last)
        times = np.concatenate([[0.0], np.cumsum(np.diff(x) * (1.0 / speed[1:] + 1.0 / speed[:-1]) / 2.0)])
        return _seen(times, np.stack([x, y], axis=-1))


def _parabola(u: Array | float) -> Array:
    """Part of a Poiseuille flow between one wall and u of the width: 3 u^2 - 2 u^3."""
    u = np.clip(u, 0.0, 1.0)
    return np.asarray(u * u * (3.0 - 2.0 * u))
