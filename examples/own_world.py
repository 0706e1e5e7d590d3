"""Add a world of your own from a folder outside physgen: the embedded model, seen through another microscope."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from picture import STEPS, draw_picture

from physgen.video import read_video
from physgen.worlds import load_world

POND = """# A pond under my microscope: 0.5 µm a pixel, 50 frames a second.
defaults: [micro]
families:
  dye: {spacing: [0.5, 0.5], dt: 0.02}
"""
PROMPT = "one drop of red dye diffusing quickly in water"

own = Path(tempfile.mkdtemp())
(own / "world").mkdir()
(own / "world" / "pond.yaml").write_text(POND, encoding="utf-8")
laws = ["world=pond", "constraint=diffusion", "guidance=projection", "compare=true", "seed=6", f"steps={STEPS}"]
command = [sys.executable, "-m", "physgen", "sample", "--config-dir", own, f"prompt={PROMPT}", *laws]
subprocess.run([*map(str, command), f"out={own / 'run'}"], check=True)

fit = json.loads((own / "run" / "metrics.json").read_text(encoding="utf-8"))["constraints"]["diffusion"]["fit"]
print("constants of the guided drop, µm²/s:", fit["values"])
found = {"unguided": read_video(own / "run" / "unguided.tif"), "guided": read_video(own / "run" / "video.tif")}
videos = {name: video.frames.transpose(0, 1)[None] for name, video in found.items()}
observable = load_world("micro").observable(PROMPT)
mass = {name: observable(video).sum((0, 1, 3, 4)) * 0.5**2 for name, video in videos.items()}
draw_picture(videos, mass, f"frame, {found['guided'].dt:g} s each", "mass (µm²)")
