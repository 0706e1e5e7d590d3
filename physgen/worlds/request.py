"""What is asked of a world."""

from __future__ import annotations

from dataclasses import dataclass

from physgen.arguments import finite, whole
from physgen.errors import InvalidArgument


@dataclass(frozen=True)
class Request:
    """A prompt, the seed of its noise, and numbers of sampling; ``None`` is the world's own number.

    Raises:
        InvalidArgument: an empty prompt, a seed outside 0 to 2^63 - 1, less than one step, a guidance scale that is
            negative or not finite.

    >>> Request("", seed=0)
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: prompt='': allowed: a description of the video
    """

    prompt: str
    seed: int
    steps: int | None = None
    guidance_scale: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise InvalidArgument("prompt", self.prompt, "a description of the video")
        if whole("seed", self.seed, least=0) >= 2**63:
            raise InvalidArgument("seed", self.seed, "0 to 2^63 - 1")
        if self.steps is not None:
            whole("steps", self.steps)
        if self.guidance_scale is not None:
            finite("guidance_scale", self.guidance_scale, "a finite number >= 0", lambda value: value >= 0)
