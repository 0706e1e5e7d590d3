"""A video in memory: frames, their scale, and what was guessed to have them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Video:
    """Frames with a physical scale and, for generated videos, the prompt they were made from.

    ``frames`` is ``[T, 3, H, W]``, dimensionless in [0, 1] for images; ``frames * scale`` is in the file's own counts.

    Attributes:
        spacing: ``(dy, dx)`` in µm; ``None`` where the file does not say.
        dt: s from frame to frame; ``None`` where the file does not say, or where there is no one interval.
        times: s of each frame where the file says that they are not one interval apart.
        series: which image of the file, where it has or names several.
        channel: which channel, where one was chosen.
        bits: depth of the file's counts; ``None`` for floats.
        background: estimated brightness of empty space, in counts.
        notes: what was guessed or left out in reading.

    >>> import torch
    >>> Video(torch.zeros(2, 3, 8, 8), spacing=(2.0, 2.0), dt=0.1).grey
    True
    """

    frames: Float[Tensor, "T 3 H W"]
    scale: float = 1.0
    spacing: tuple[float, float] | None = None
    dt: float | None = None
    prompt: str | None = None
    times: tuple[float, ...] | None = None
    series: str | None = None
    channel: str | None = None
    bits: int | None = None
    background: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def grey(self) -> bool:
        """Whether the three channels are equal."""
        return self.frames.stride(1) == 0 or bool((self.frames[:, :1] == self.frames[:, 1:]).all())
