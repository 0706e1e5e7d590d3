"""A film in one small picture: its frames in a row, that the page shows one after another."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physgen.experiments.pages.strip import shown_frames
from physgen.video import read_video

#: frames at most, and WebP quality: 3 kB for 25 frames of 64 x 64
FRAMES, QUALITY = 32, 80


@dataclass(frozen=True)
class Sprite:
    """``shown`` of ``frames`` pictures ``width`` x ``height`` in a row, as a data URI; ``span`` in s, if known."""

    uri: str
    shown: int
    frames: int
    width: int
    height: int
    span: float | None


def read_sprite(path: Path) -> Sprite:
    """The frames of a video, for display.

    Raises: FileNotFoundError; InvalidArgument for a file that is not a complete, readable video.
    """
    video = read_video(path)
    frames = shown_frames(video, FRAMES)
    uri = f"data:image/webp;base64,{base64.b64encode(encode(frames)).decode()}"
    shown, height, width, _ = frames.shape
    count = len(video.frames)
    return Sprite(uri, shown, count, width, height, video.dt * (count - 1) if video.dt else None)


def encode(frames: npt.NDArray[np.uint8]) -> bytes:
    """Frames ``[N, H, W, 3]`` in a row as WebP."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(buffer, "webp", quality=QUALITY)
    return buffer.getvalue()
