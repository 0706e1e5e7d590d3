"""Film strips: a few frames of a video side by side."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.video import Video

SHOWN = 9
LARGEST = 160


def frame_indices(video: Video) -> list[int]:
    """Indices of at most nine frames, evenly spaced, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, len(video.frames) - 1, SHOWN)})


def shown_frames(video: Video) -> npt.NDArray[np.uint8]:
    """Frames ``[N, H, W, 3]`` for display: microscopy stretched to its own 99.9 % range, large frames thinned."""
    step = -(-max(video.frames.shape[2:]) // LARGEST)
    frames: Any = video.frames[frame_indices(video), :, ::step, ::step].permute(0, 2, 3, 1).numpy()
    if video.grey:
        low, high = np.quantile(frames, [0.0005, 0.9995])
        frames = (frames - low) / max(high - low, 1e-12)
    return np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def strip_png(video: Video) -> bytes:
    """PNG of the frames in a row, one grey pixel column between them."""
    from PIL import Image

    frames = np.pad(shown_frames(video), ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=128)
    buffer = BytesIO()
    Image.fromarray(np.concatenate(list(frames), axis=1)[:, :-1]).save(buffer, "png")
    return buffer.getvalue()


def write_preview(path: str | Path, clips: dict[str, Video], chart: Any, title: str) -> None:
    """One row of frames per video with times and a scale bar, and a chart below.

    Videos without a physical scale are labelled in pixels and frames.
    """
    from matplotlib.figure import Figure

    rows = len(clips)
    columns = max(len(frame_indices(video)) for video in clips.values())
    figure = Figure(figsize=(11, 1.35 * rows + 2.7), dpi=150, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.0] * rows + [1.7])
    for row, (label, video) in enumerate(clips.items()):
        for column, (index, frame) in enumerate(zip(frame_indices(video), shown_frames(video), strict=True)):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(frame, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(f"{index * video.dt:.3g} s" if video.dt else f"frame {index}", fontsize=9)
            if column == 0:
                axes.set_ylabel(label, fontsize=10)
                _scale_bar(axes, video, frame.shape[1])
    chart.draw(figure.add_subplot(grid[rows, :]))
    figure.savefig(path)


def _scale_bar(axes: Any, video: Video, shown_width: int) -> None:
    size = video.spacing[1] if video.spacing else 1.0
    width = video.frames.shape[3] * size
    length = max(m * 10.0**e for e in range(-3, 7) for m in (1, 2, 5) if m * 10.0**e <= 0.5 * width)
    end = length / width * shown_width
    left, bottom = 0.06 * shown_width, axes.get_ylim()[0] - 0.1 * shown_width
    axes.plot([left, left + end], [bottom, bottom], color="white", linewidth=2, solid_capstyle="butt")
    unit = "µm" if video.spacing else "px"
    axes.text(left + end / 2, bottom - 0.04 * shown_width, f"{length:g} {unit}", color="white", fontsize=6, ha="center")
