"""The world's network for one prompt: a velocity that counts, and the way from its samples to fields and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from physgen.observables import Observable
from physgen.sampling.decoding.decoder import Decoder
from physgen.worlds import World


@dataclass
class Network:
    """Velocity with classifier-free guidance, for any number of samples of one prompt.

    Attributes:
        world: the embedded world, or another Wan.
        caption: the prompt.
        observable: how its videos are read.
        scale: of classifier-free guidance; at 1 the network is called once, else twice, in one batch.
        calls: evaluations for each sample so far; one through which a gradient was taken counts 3 in all.
    """

    world: World
    caption: str
    observable: Observable
    scale: float
    calls: int = 0
    _prompt: Tensor = field(init=False, repr=False)
    _empty: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pipe = self.world.pipe
        with torch.no_grad():
            self._prompt, self._empty = pipe.encode_prompt(
                [self.caption],
                negative_prompt=[""],
                do_classifier_free_guidance=True,
                num_videos_per_prompt=1,
                max_sequence_length=self.world.spec.max_sequence_length or 512,
            )
        self.decoder = Decoder(pipe.vae, self.observable)

    def __call__(self, x: Float[Tensor, "B C N h w"], sigma: Tensor | float) -> Float[Tensor, "B C N h w"]:
        """v(x, sigma)."""
        pipe, count = self.world.pipe, len(x)
        both = self.scale != 1
        prompts = torch.cat([text.expand(count, -1, -1) for text in (self._prompt, *[self._empty] * both)])
        again = torch.cat([x, x]) if both else x
        timestep = torch.full((len(again),), 1000.0 * float(sigma))
        v = pipe.transformer(hidden_states=again, timestep=timestep, encoder_hidden_states=prompts).sample
        self.calls += (1 + both) * (3 if x.requires_grad else 1)
        if not both:
            return v
        told, untold = v.chunk(2)
        return untold + self.scale * (told - untold)

    def sigmas(self, steps: int) -> Float[Tensor, "N"]:
        """Noise levels of the world's scheduler, from 1 to 0."""
        scheduler = self.world.pipe.scheduler
        scheduler.set_timesteps(steps)
        return scheduler.sigmas.clone()

    def noise(self, count: int, generator: torch.Generator) -> Float[Tensor, "B C N h w"]:
        """Where samples begin."""
        spec, vae = self.world.spec, self.world.pipe.vae.config
        frames = (spec.num_frames - 1) // vae.scale_factor_temporal + 1
        size = [side // vae.scale_factor_spatial for side in (spec.height, spec.width)]
        return torch.randn(count, self.world.pipe.transformer.config.in_channels, frames, *size, generator=generator)

    def fields(self, x: Float[Tensor, "B C N h w"]) -> Float[Tensor, "B S T H W"]:
        """What the finished video shows."""
        return self.observable(self.world.decode(x))

    @torch.no_grad()
    def with_fields(
        self, x: Float[Tensor, "B C N h w"], fields: Float[Tensor, "B S T H W"]
    ) -> Float[Tensor, "B C N h w"]:
        """The sample whose video shows these fields, as the autoencoder carries them back."""
        video = self.observable.embed(self.world.decode(x), fields.to(x.dtype)).clamp(0, 1)
        return self.world.encode(video)
