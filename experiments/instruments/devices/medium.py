"""The file that a video is in: the instruments are calibrated on MP4, whose compression they can tell."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from physgen.video import Video, read_video, write_mp4

LEVELS = 255


def filed(frames: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    """Frames after they were written as an MP4 file and read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, Video(frames), 8)
        return read_video(path).frames


def as_filed(frames: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    """Frames as they are where they have 8 bits, as those of an MP4 file do, else after such a file.

    >>> import torch
    >>> eight_bits = torch.randint(256, (3, 3, 16, 16)) / 255
    >>> bool((as_filed(eight_bits) == eight_bits).all())
    True
    """
    steps = frames * LEVELS
    return frames if bool((steps - steps.round()).abs().max() < 1e-2) else filed(frames)
