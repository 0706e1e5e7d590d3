"""A world whose weights are loaded: it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.grid import Grid
from physgen.observables import Observable
from physgen.worlds.checkpoints.checkpoint import LoadReport
from physgen.worlds.request import Request
from physgen.worlds.spec import WorldSpec
from physgen.worlds.start import VIDEO, start_options

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass
class World:
    """A loaded pipeline, the physical scale of what it draws, and what its checkpoint loaded.

    `start` are the first frames ``[3, n, H, W]`` in [0, 1] that it draws from, where its pipeline takes any.
    """

    spec: WorldSpec
    pipe: DiffusionPipeline
    report: LoadReport | None = None
    start: Float[Tensor, "3 n H W"] | None = None

    @property
    def name(self) -> str:
        """Name of the world."""
        return self.spec.name

    @property
    def fps(self) -> float:
        """Frames per second at which its videos are shown."""
        return self.spec.fps

    def grid(self, prompt: str) -> Grid:
        """See `WorldSpec.grid`."""
        return self.spec.grid(prompt)

    def observable(self, prompt: str) -> Observable:
        """See `WorldSpec.observable`."""
        return self.spec.observable(prompt)

    def ignored_words(self, prompt: str) -> list[str]:
        """Words that never reach the model, for pipelines with a vocabulary (those with a method ``known``)."""
        if not hasattr(self.pipe, "known"):
            return []
        return list(dict.fromkeys(self.pipe.known(prompt)[1]))

    def sample(
        self,
        prompt: str,
        *,
        seed: int,
        steps: int | None = None,
        guidance_scale: float | None = None,
        also: Sequence[int] = (),
    ) -> Float[Tensor, "N 3 T H W"]:
        """Draw one video in [0, 1]; the noise depends on ``seed`` alone, on every device.

        Beside it, in one batch, those of the seeds in ``also``.

        Raises: as `Request`; `InvalidArgument` where the pipeline draws from frames that are not there.
        """
        asked = Request(prompt, seed, steps, guidance_scale)
        options: dict[str, Any] = {
            **self.spec.arguments,
            "height": self.spec.height,
            "width": self.spec.width,
            "num_frames": self.spec.num_frames,
            "num_inference_steps": self.spec.steps if asked.steps is None else asked.steps,
            "guidance_scale": self.spec.guidance_scale if asked.guidance_scale is None else asked.guidance_scale,
        }
        options |= start_options(self.spec, self.pipe, self.start)
        if VIDEO in options:
            del options["num_frames"]  # those of the video
        for option in ("max_sequence_length", "negative_prompt"):
            if (value := getattr(self.spec, option)) is not None:
                options[option] = value
        generators = [torch.Generator("cpu").manual_seed(one) for one in (asked.seed, *also)]
        batch: dict[str, Any] = {"prompt": asked.prompt, "generator": generators[0]}
        if also:
            batch = {"prompt": [asked.prompt] * len(generators), "generator": generators}
        frames = self.pipe(**batch, output_type="pt", **options).frames
        return frames.to("cpu", torch.float32).permute(0, 2, 1, 3, 4).contiguous()
