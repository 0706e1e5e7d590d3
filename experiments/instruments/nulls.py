"""What every instrument reads off videos without a fault."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Null = npt.NDArray[np.float32]

FOLDER = Path(__file__).parent / "nulls"
#: ways of a simulator video to the file: written as it is, through the embedded world's autoencoder, seen by a camera
SIMULATOR, RECONSTRUCTION, CAMERA = "simulator", "reconstruction", "camera"


@cache
def read_nulls(folder: Path = FOLDER) -> Mapping[str, Mapping[str, Mapping[str, Null]]]:
    """Sorted statistics ``[n]`` by domain, floor and instrument, see `calibrate`.

    >>> sorted(read_nulls()["blood.flow"])
    ['reconstruction', 'simulator']
    """
    found: dict[str, dict[str, dict[str, Null]]] = {}
    for path in sorted(folder.glob("*.npz")):
        floors = found.setdefault(path.stem, {})
        with np.load(path) as arrays:
            for key in arrays.files:
                floor, name = key.split("/")
                floors.setdefault(floor, {})[name] = arrays[key]
    return found


def holds_nulls(folder: Path) -> bool:
    """Whether a folder has nulls and nothing else, like the packaged one: no run began it, and missing ones are added.

    >>> holds_nulls(FOLDER), holds_nulls(FOLDER.parent)
    (True, False)
    """
    names = [path.suffix for path in folder.iterdir()] if folder.is_dir() else []
    return ".npz" in names and set(names) <= {".npz", ".partial"}


def p_value(statistic: float, null: Null) -> float:
    """Probability that a video of the null distribution reads as much or more.

    p = (1 + #{null >= statistic}) / (n + 1)

    At most ``alpha`` of faultless videos have ``p <= alpha``, however their statistic is distributed, if they are
    exchangeable with those of the null.

    Source: Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, chapter 2.

    >>> null = np.arange(9, dtype=np.float32)
    >>> p_value(8.5, null), p_value(8.0, null), p_value(-1.0, null)
    (0.1, 0.2, 1.0)
    """
    below = int(np.searchsorted(null, np.float32(statistic), side="left"))
    return (1 + len(null) - below) / (len(null) + 1)
