"""A row of films that play together, and what was measured of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.experiments.pages.axes import label
from physgen.experiments.pages.gallery.sprite import encode

#: measure -> where its bar begins and ends; bars are logarithmic
BARS = {"violation": (1e-10, 10.0), "error where hidden": (1e-3, 1.0)}


@dataclass(frozen=True)
class Shot:
    """One film of a row.

    Attributes:
        title: how it was made.
        film: name of its picture, frames in a row.
        measure: what was measured, in words.
        value: of the measure; None where nothing is measured.
        note: what else is to be said of it.
    """

    title: str
    film: str
    measure: str
    value: float | None
    note: str = ""

    @property
    def number(self) -> str:
        """The value as it is read.

        >>> Shot("unguided", "", "violation", 4.118e-7).number
        '4.1·10⁻⁷'
        """
        if self.value is None or not math.isfinite(self.value):
            return "–"
        return label(float(f"{self.value:.1e}"))

    @property
    def percent(self) -> float | None:
        """Length of its bar, %; None where the measure has none.

        >>> Shot("unguided", "", "violation", 1.0).percent, Shot("unguided", "", "mass", 1.0).percent
        (90.9, None)
        """
        if self.measure not in BARS:
            return None
        low, high = BARS[self.measure]
        value = 0.0 if self.value is None or math.isnan(self.value) else self.value
        part = math.log(max(value, low) / low) / math.log(high / low)
        return round(100 * min(part, 1.0), 1)


@dataclass(frozen=True)
class Row:
    """Films ``shots`` of one prompt, ``frames`` long, ``dt`` s apart; ``about`` says where they come from."""

    name: str
    caption: str
    about: str
    frames: int
    dt: float
    fps: float
    shots: Sequence[Shot]

    def as_json(self) -> dict[str, Any]:
        """As the record of the row has it."""
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Row:
        """The row of a record."""
        return cls(**{**record, "shots": [Shot(**shot) for shot in record["shots"]]})


def write_film(path: Path, frames: npt.NDArray[np.floating[Any]]) -> str:
    """Write frames ``[T, H, W]`` or ``[T, H, W, 3]`` in [0, 1] in a row as WebP; the name of the file."""
    pixels = np.round(255 * np.clip(frames, 0, 1)).astype(np.uint8)
    path.write_bytes(encode(pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, -1)))
    return path.name
