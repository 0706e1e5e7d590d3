"""What the examples share: where the picture goes, how many steps are taken, and how the picture is drawn."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

#: the picture: the first word after the script's name, else a file in a new temporary folder
PICTURE = Path(sys.argv[1] if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / f"{Path(sys.argv[0]).stem}.png")
#: denoising steps: the word after it
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 30


def draw_picture(
    videos: Mapping[str, Tensor], curves: Mapping[str, Sequence[float] | Tensor], x_label: str, y_label: str
) -> None:
    """Seven frames of each video ``[1, C, T, H, W]`` in [0, 1] (of fields: the first species), and one line a curve."""
    height = 1.25 * len(videos) + 2.8  # inches: a strip of frames each, then the curves
    figure = plt.figure(figsize=(8, height), dpi=100)
    for row, (label, video) in enumerate(videos.items()):
        strip = figure.add_axes((0.07, 1 - 1.25 * (row + 1) / height, 0.91, 1.04 / height))
        frames = video[0, : 3 if video.shape[1] == 3 else 1].permute(1, 2, 3, 0).expand(-1, -1, -1, 3)
        shown = frames[torch.linspace(0, len(frames) - 1, 7).round().long()]
        strip.imshow(torch.cat(list(shown), dim=1).clamp(0, 1).sqrt())  # the square root shows faint dye
        strip.set(xticks=[], yticks=[], ylabel=label)
    plot = figure.add_axes((0.12, 0.55 / height, 0.64, 2.0 / height))
    for (label, values), dash in zip(curves.items(), ("-", "--", ":"), strict=False):
        plot.plot(values, dash, linewidth=2, label=label)
    plot.set(xlabel=x_label, ylabel=y_label)
    plot.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    figure.savefig(PICTURE)
    print(PICTURE)
