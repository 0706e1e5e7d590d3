"""Contact sheet: a row of frames per video, its prompt above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

SHOWN, ZOOM, GAP, CAPTION = 9, 2, 2, 28
#: pixels; a page shows a sheet at about 0.6 of its size
LETTERS = 20


def write_sheet(path: Path, rows: Sequence[tuple[str, Tensor]]) -> None:
    """Write a PNG of captions and videos ``[3, T, H, W]`` in [0, 1]."""
    from PIL import Image, ImageDraw, ImageFont

    _, frames, height, width = rows[0][1].shape
    shown = sorted({round(i) for i in np.linspace(0, frames - 1, SHOWN)})
    across, down = width * ZOOM + GAP, height * ZOOM + GAP + CAPTION
    sheet = Image.new("RGB", (across * len(shown), down * len(rows)), "white")
    pen, letters = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for row, (caption, video) in enumerate(rows):
        pen.text((2, row * down + 1), caption, fill="black", font=letters)
        pixels = (video[:, shown].permute(1, 2, 3, 0).clamp(0, 1) * 255).round().byte().numpy()
        for column, frame in enumerate(pixels):
            picture = Image.fromarray(frame).resize((width * ZOOM, height * ZOOM), Image.Resampling.NEAREST)
            sheet.paste(picture, (column * across, row * down + CAPTION))
    sheet.save(path)
