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

    def observable(self, prompt: str, off_map: float | int = 1.0) -> Observable:
        """See `WorldSpec.observable`."""
        return self.spec.observable(prompt, off_map)

    def ignored_words(self, prompt: str) -> list[str]:
        """Words that never reach the model, for pipelines with a vocabulary (those with a method ``known``)."""
        if not hasattr(self.pipe, "known"):
            return []
        return list(dict.fromkeys(self.pipe.known(prompt)[1]))

    @torch.no_grad()
    def encode(self, video: Float[Tensor, "B 3 T H W"], normalised: bool = True) -> Float[Tensor, "B C N h w"]:
        """Latents of videos in [0, 1]: the mode of what the autoencoder says.

        z = (E(2 video - 1) - mean) / std,  or E(2 video - 1) itself where they are not to be ``normalised``

        Normalised latents are the network's, in which samples begin as noise of variance 1; files of `physgen` have the
        autoencoder's own. Computed where the pipeline computes, in the dtype of its autoencoder; the result is in
        float32, on the device of the video. It has no gradient: a guidance takes its own, through `Decoder`.

        >>> from physgen.worlds import load_world
        >>> world = load_world("micro", device="cpu")
        >>> latents = world.encode(torch.zeros(1, 3, 5, 64, 64))
        >>> latents.shape, world.decode(latents).shape
        (torch.Size([1, 16, 2, 8, 8]), torch.Size([1, 3, 5, 64, 64]))
        """
        vae: Any = self.pipe.vae
        shown = (2.0 * video - 1.0).to(self.pipe._execution_device, vae.dtype)
        z = vae.encode(shown).latent_dist.mode().to(video.device, torch.float32)
        return self.normalise(z) if normalised else z

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B C N h w"], normalised: bool = True) -> Float[Tensor, "B 3 T H W"]:
        """Videos in [0, 1] of latents: what `encode` takes them from, but for what the autoencoder loses.

        video = (D(std z + mean) + 1) / 2,  or (D(z) + 1) / 2 where they are not ``normalised``; clamped to [0, 1]

        Device, dtype and gradient are as in `encode`.
        """
        from physgen.sampling.decoding.decoder import decode
        from physgen.sampling.decoding.layout import denormalise

        vae: Any = self.pipe.vae
        z = denormalise(vae, latents.float()) if normalised else latents
        video = decode(vae, z.to(self.pipe._execution_device, vae.dtype)).to(latents.device, torch.float32)
        return ((video + 1) / 2).clamp(0, 1)

    def normalise(self, latents: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B C N h w"]:
        """Latents of the autoencoder, as files have them, as the network's, in float32: (latents - mean) / std."""
        from physgen.sampling.decoding.layout import normalise

        return normalise(self.pipe.vae, latents.float())

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
