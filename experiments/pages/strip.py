"""Film strips: a few frames of a video side by side."""

from __future__ import annotations

import textwrap
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physgen.experiments.pages.charts import Chart
from physgen.experiments.pages.numbers import seconds
from physgen.video import Video

SHOWN = 9
LARGEST = 160
GAP = 5


def frame_indices(video: Video, most: int = SHOWN) -> list[int]:
    """Indices of at most so many frames, evenly spaced, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, len(video.frames) - 1, most)})


def shown_frames(video: Video, most: int = SHOWN) -> npt.NDArray[np.uint8]:
    """Frames ``[N, H, W, 3]`` for display: microscopy stretched to its own 99.9 % range, large frames thinned."""
    step = -(-max(video.frames.shape[2:]) // LARGEST)
    frames: Any = video.frames[frame_indices(video, most), :, ::step, ::step].permute(0, 2, 3, 1).numpy()
    if video.grey:
        low, high = np.quantile(frames, [0.0005, 0.9995])
        frames = (frames - low) / max(high - low, 1e-12)
    return np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8)


def strip(video: Video, gap: int, shade: int) -> npt.NDArray[np.uint8]:
    """Frames in a row ``[H, N (W + gap) - gap, 3]``, columns of a grey shade between them."""
    frames = np.pad(shown_frames(video), ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=shade)
    return np.concatenate(list(frames), axis=1)[:, :-gap]


def strip_png(video: Video) -> bytes:
    """PNG of the frames in a row."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(strip(video, 1, 128)).save(buffer, "png")
    return buffer.getvalue()


def write_preview(path: str | Path, clips: dict[str, Video], chart: Chart, title: str) -> None:
    """One row of frames per video with times and a scale bar, and a chart below.

    Videos without a physical scale are labelled in pixels and frames.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.35 * len(clips) + 2.9), dpi=150, layout="constrained")
    text = textwrap.fill(textwrap.shorten(title, 220, placeholder=" …"), 115)
    figure.suptitle(text, x=0.01, ha="left", fontsize=12, parse_math=False)
    grid = figure.add_gridspec(len(clips) + 1, 1, height_ratios=[1.0] * len(clips) + [1.7])
    for row, (name, video) in enumerate(clips.items()):
        axes = figure.add_subplot(grid[row])
        frames = strip(video, GAP, 255)
        axes.imshow(frames, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, fontsize=10, parse_math=False)
        pitch = (frames.shape[1] + GAP) / len(frame_indices(video))
        if row == 0:
            for column, index in enumerate(frame_indices(video)):
                time = seconds(index * video.dt) if video.dt else f"frame {index}"
                axes.text(column * pitch + (pitch - GAP) / 2, -0.06 * len(frames), time, ha="center", fontsize=9)
        _scale_bar(axes, video, pitch - GAP)
    chart.draw(figure.add_subplot(grid[len(clips)]))
    figure.savefig(path)


def _scale_bar(axes: Any, video: Video, shown_width: float) -> None:
    """A white bar in the first frame, at most half as long as the frame is wide."""
    width = video.frames.shape[3] * (video.spacing[1] if video.spacing else 1.0)
    decade = 10.0 ** np.floor(np.log10(0.5 * width))
    length = max(m * decade for m in (1, 2, 5) if m == 1 or m * decade <= 0.5 * width)
    end = length / width * shown_width
    left, bottom = 0.06 * shown_width, axes.get_ylim()[0] - 0.1 * shown_width
    axes.plot([left, left + end], [bottom, bottom], color="white", linewidth=2, solid_capstyle="butt")
    unit = "µm" if video.spacing else "px"
    axes.text(left + end / 2, bottom - 0.04 * shown_width, f"{length:g} {unit}", color="white", fontsize=6, ha="center")
