"""NumPy files: one array, or an archive with the scale beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from physgen.arguments import finite
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
        scale = {key: archive[key] for key in ("spacing", "dt") if key in archive}
    lengths = [
        finite("spacing", one, "in the file, finite numbers > 0, µm", lambda length: length > 0)
        for one in (np.broadcast_to(scale["spacing"], 2).tolist() if "spacing" in scale else [])
    ]
    dt = (
        finite("dt", scale["dt"], "in the file, a finite number > 0, s", lambda step: step > 0)
        if "dt" in scale
        else None
    )
    facts = Facts((lengths[0], lengths[1]) if lengths else None, dt)
    yield record(array, _axes(array.shape), facts, selection)


def _axes(shape: tuple[int, ...]) -> str:
    axes = {3: "TYX", 4: "TCYX" if len(shape) == 4 and shape[1] in (1, 3) else "TYXS"}.get(len(shape))
    if axes is None or (axes == "TYXS" and shape[3] not in (1, 3, 4)):
        raise ValueError(f"shape {shape}; allowed: {LAYOUT}")
    return axes
