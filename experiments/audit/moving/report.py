"""One measurement of what moves in a file: numbers for ``metrics.json``, words, tables, layers, charts, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.experiments.pages.charts import Chart
from physgen.experiments.pages.numbers import number
from physgen.video import Selection

Interval = tuple[float, float, float]
Rows = list[dict[str, Any]]
Movie = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Lengths and times of what was read of a file, and where it is in there.

    Attributes:
        spacing: of the pixels that were read; ``pixel``: of those of the file.
        dt: between the frames that were read; ``frame``: between those of the file.
        part: pixels and frames of the file that were read.

    >>> part = Selection(crop=[20, 40, 8, 40], every=5, scale=0.5)
    >>> scale = Scale((1.0, 1.0), 0.5, {"length": "µm", "time": "s"}, part)
    >>> scale.pixel, scale.frame, scale.places(np.array([[0.0, 3.0]])).tolist()
    ((0.5, 0.5), 0.1, [[20.5, 14.5]])
    """

    spacing: tuple[float, float]
    dt: float
    units: Mapping[str, str]
    part: Selection = field(default_factory=Selection)

    @property
    def pixel(self) -> tuple[float, float]:
        """Size of a pixel of the file."""
        return self.spacing[0] / self.part.block, self.spacing[1] / self.part.block

    @property
    def frame(self) -> float:
        """Interval between two frames of the file."""
        return self.dt / self.part.every

    def places(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points (y, x) among the pixels that were read as pixels of the file, ``[N, 2]``."""
        return self.part.places.points(points)

    @property
    def physical(self) -> bool:
        """Whether lengths are µm and times s."""
        return (self.units["length"], self.units["time"]) == ("µm", "s")

    @property
    def length(self) -> str:
        """Unit of lengths."""
        return self.units["length"]

    @property
    def time(self) -> str:
        """Unit of times."""
        return self.units["time"]


@dataclass(frozen=True)
class Moving:
    """A measurement, or why it is none.

    Attributes:
        kind: ``tracks``, ``flow``, ``cells``, ``regions`` or ``faults``.
        numbers: as ``metrics.json`` has them, ``measured`` and ``reason`` among them.
        words: one sentence.
        tables: rows by the name of a file without its ending.
        layers: labels ``[T, H, W]`` or ``[H, W]`` by the same; points and shapes are tables.
        charts: by the same.
        pictures: functions that draw on matplotlib axes, by the same.
    """

    kind: str
    numbers: dict[str, Any]
    words: str
    tables: dict[str, Rows] = field(default_factory=dict)
    layers: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    charts: dict[str, Chart] = field(default_factory=dict)
    pictures: dict[str, Callable[[Any], None]] = field(default_factory=dict)


def spread(name: str, value: Interval | None, low: str = "", high: str = "", factor: float = 1.0) -> dict[str, Any]:
    """A value and the ends of its interval under their names; null where there is none.

    >>> spread("D_um2_s", (1.0, 0.5, 2.0), "D_low", "D_high")
    {'D_um2_s': 1.0, 'D_low': 0.5, 'D_high': 2.0}
    >>> spread("exponent", None)
    {'exponent': None, 'exponent_low': None, 'exponent_high': None}
    """
    names = name, low or f"{name}_low", high or f"{name}_high"
    return dict(zip(names, [None] * 3 if value is None else [factor * one for one in value], strict=True))


def bracketed(value: Interval, unit: str = "") -> str:
    """A value with its interval and unit.

    >>> bracketed((1.0, 0.5, 2.0), "µm²/s")
    '1 [0.5, 2] µm²/s'
    """
    text = f"{number(value[0])} [{number(value[1])}, {number(value[2])}]"
    return f"{text} {unit}" if unit else text


def paths(lines: Sequence[npt.NDArray[np.float64]], kind: str) -> Rows:
    """Rows of a shapes layer of napari, from vertices ``[K, 2]`` (y, x) of each shape.

    >>> paths([np.array([[0.0, 1.0], [2.0, 3.0]])], "path")[1]
    {'index': 0, 'shape-type': 'path', 'vertex-index': 1, 'axis-0': 2.0, 'axis-1': 3.0}
    """
    return [
        {"index": k, "shape-type": kind, "vertex-index": v, "axis-0": float(y), "axis-1": float(x)}
        for k, line in enumerate(lines)
        for v, (y, x) in enumerate(line)
    ]


def show(axes: Any, frame: npt.NDArray[np.float64]) -> None:
    """A frame as the ground of an overlay: grey, stretched, in pixels."""
    low, high = np.quantile(frame, [0.01, 0.995])
    axes.imshow(frame, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), interpolation="nearest")
    axes.set(xlabel="x (px)", ylabel="y (px)")
