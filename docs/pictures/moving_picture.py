"""The moving picture of the README, from a run of `physgen sample … compare=true`.

physgen sample prompt="one drop of red dye diffusing quickly in water" constraint=mass guidance=projection \
        seed=6 compare=true out=runs/moving
python docs/pictures/moving_picture.py runs/moving docs/pictures/moving.gif
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from PIL import Image

from physgen.video import read_video

FRAME_MS, LAST_MS = 120, 1500


def frame(videos: dict[str, Any], masses: dict[str, list[float]], index: int) -> npt.NDArray[np.uint8]:
    """Both videos at one time, and the mass up to then."""
    figure = plt.figure(figsize=(6, 4.6), dpi=80)
    dt = videos["unguided"].dt
    for column, (label, video) in enumerate(videos.items()):
        axes = figure.add_axes((0.03 + 0.49 * column, 0.385, 0.45, 0.55))
        above = (video.frames[index] - video.frames.amin()).clamp(0, 1).sqrt()  # the square root shows faint dye
        axes.imshow(above.permute(1, 2, 0).numpy(), interpolation="bilinear")
        axes.set(xticks=[], yticks=[])
        axes.set_title(label, fontsize=13)
    axes = figure.add_axes((0.13, 0.12, 0.82, 0.22))
    for (label, mass), dash, colour in zip(masses.items(), ("-", "--"), ("#0072b2", "#d55e00"), strict=True):
        share = np.array(mass) / mass[0]
        axes.plot(np.arange(index + 1) * dt, share[: index + 1], dash, color=colour, linewidth=2.5, label=label)
    axes.set(xlim=(0, dt * (len(mass) - 1)), ylim=(0.75, 1.1), yticks=[0.8, 0.9, 1])
    axes.set_xlabel("time (s)", fontsize=10)
    axes.set_ylabel("mass / first", fontsize=10)
    axes.legend(loc="lower left", ncols=2, frameon=False, fontsize=10)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return pixels


def main(run: Path, out: Path) -> None:
    """Write the picture, a GIF."""
    matplotlib.use("Agg")
    videos = {"unguided": read_video(run / "unguided.tif"), "guided": read_video(run / "video.tif")}
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    masses = {label: next(iter(metrics["mass"][label].values()))["mass"] for label in videos}
    frames = [Image.fromarray(frame(videos, masses, index)) for index in range(len(masses["guided"]))]
    shown = [picture.quantize(256) for picture in frames]
    durations = [FRAME_MS] * (len(shown) - 1) + [LAST_MS]
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=durations, loop=0, optimize=True)
    print(out, f"{out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
