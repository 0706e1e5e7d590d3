"""A folder as MicroSim-10K lays it out, made by the simulators, with as many broken clips as one likes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from physgen.simulators import SIMULATORS
from physgen.video import Video, write_mp4

#: prompts of three levels, which the words give away
PROMPTS = ("a beating heart", "a cell divides", "calcium ions and a receptor")
BROKEN = ("empty.mp4", "truncated.mp4", "text.mp4", "missing.mp4", "video.txt")


def make_folder(folder: Path, clips: int, frames: int = 9) -> Path:
    """Write ``clips`` videos of dye, level after level, every other one fading, and ``metadata.json``."""
    videos = folder / "videos"
    videos.mkdir(parents=True)
    drawn = SIMULATORS["dye"](clips, rng=np.random.default_rng(0), frames=frames).video
    fading = torch.linspace(1, 0.5, frames).view(-1, 1, 1, 1)
    records = []
    for index, video in enumerate(torch.from_numpy(drawn).transpose(1, 2)):
        write_mp4(videos / f"{index}.mp4", Video(video * fading if index % 2 else video), fps=8)
        records.append({"id": f"clip-{index}", "video": f"videos/{index}.mp4", "prompt": PROMPTS[index % 3]})
    (folder / "metadata.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


def add_broken(folder: Path) -> None:
    """Add the five of `BROKEN` in the midst of the others, and two records that name no video of their own."""
    videos = folder / "videos"
    whole = (videos / "0.mp4").read_bytes()
    (videos / "empty.mp4").touch()
    (videos / "truncated.mp4").write_bytes(whole[: len(whole) * 3 // 5])
    (videos / "text.mp4").write_text("not a video")
    (videos / "video.txt").write_bytes(whole)
    records = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    for index, name in enumerate(BROKEN):
        records.insert(3 * index, {"video": f"videos/{name}", "prompt": "a cell"})
    records += [{"prompt": "a cell without a video"}, records[1]]
    (folder / "metadata.json").write_text(json.dumps(records), encoding="utf-8")
