"""The picture of `docs/results/micro.md` on flows: ``python docs/pictures/flows.py VESSEL BLOOD``.

The folders are those of ``physgen instruments vessel`` and ``physgen instruments blood``, with ``seed=40``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from physgen.drawn import GUIDED, UNGUIDED
from physgen.experiments.draw.references import SIMULATOR
from physgen.experiments.instruments.flow.arms import PROJECTED, THEN
from physgen.experiments.instruments.flow.run import ROWS
from physgen.video import read_video

OUT = Path(__file__).parents[1] / "results" / "micro" / "flows.png"
ARMS = {UNGUIDED: "unguided", PROJECTED: "projected", GUIDED: "guided", GUIDED + THEN: "guided,\nprojected"}
FRAMES = (0, 8, 16)
#: seed of the noise and number of the task, as file names have them
SHOWN = (("a curved vessel", 0, 400079), ("a branching vessel", 0, 400083), ("blood", 1, 400065))


def main() -> None:
    """A row an arm, three frames of each prompt."""
    folders = [Path(folder) for folder in sys.argv[1:3]]
    rows = {**ARMS, SIMULATOR: "simulator,\nthe truth"}
    figure = Figure(figsize=(9.6, 5.7), dpi=110, layout="constrained")
    grids = figure.subplots(len(rows), len(SHOWN) * len(FRAMES), squeeze=False)
    for line, (arm, label) in zip(grids, rows.items(), strict=True):
        for block, (title, folder, name) in enumerate(SHOWN):
            video = read_video(folders[folder] / "videos" / f"{name}-{ROWS.index(arm):02d}.mp4").frames
            for column, frame in enumerate(FRAMES):
                axes = line[block * len(FRAMES) + column]
                axes.imshow(video[frame].permute(1, 2, 0).numpy())
                axes.set_xticks([])
                axes.set_yticks([])
                if arm == UNGUIDED:
                    axes.set_title(f"{title}\nframe {frame}" if not column else f"\nframe {frame}", fontsize=8)
        line[0].set_ylabel(label, fontsize=9)
    figure.savefig(OUT)


if __name__ == "__main__":
    main()
