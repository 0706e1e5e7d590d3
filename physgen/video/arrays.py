"""NumPy files: one array, or an archive with the scale beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from physgen.video.axes import record
from physgen.video.recording import Facts, Recording, Selection

LAYOUT = "(time, y, x), (time, channel, y, x) or (time, y, x, channel) with 1, 3 or 4 channels"


@contextmanager
def open_npy(path: Path, selection: Selection) -> Iterator[Recording]:
    """One array; see `LAYOUT`."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    yield record(array, _axes(array.shape), Facts(), selection)


@contextmanager
def open_npz(path: Path, selection: Selection) -> Iterator[Recording]:
    """An array ``frames`` or ``video`` and optionally ``spacing`` (µm) and ``dt`` (s)."""
    with np.load(path, allow_pickle=False) as archive:
        name = next((key for key in ("frames", "video") if key in archive), None)
        if name is None:
            raise ValueError(f"arrays {archive.files}; one of them must be called frames or video")
        array = archive[name]
        spacing = np.broadcast_to(archive["spacing"], 2).tolist() if "spacing" in archive else None
        dt = float(archive["dt"]) if "dt" in archive else None
    facts = Facts((float(spacing[0]), float(spacing[1])) if spacing else None, dt)
    yield record(array, _axes(array.shape), facts, selection)


def _axes(shape: tuple[int, ...]) -> str:
    axes = {3: "TYX", 4: "TCYX" if len(shape) == 4 and shape[1] in (1, 3) else "TYXS"}.get(len(shape))
    if axes is None or (axes == "TYXS" and shape[3] not in (1, 3, 4)):
        raise ValueError(f"shape {shape}; allowed: {LAYOUT}")
    return axes
