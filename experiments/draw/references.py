"""Videos beside a sampler's: the simulator's, its passage through the autoencoder, and what projection makes of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.constraints.names import Laws
from physgen.experiments.draw.prompts import Prompt
from physgen.guidance import Projection
from physgen.projected import project_video
from physgen.simulators import SIMULATORS
from physgen.worlds import World, WorldSpec

SIMULATOR, RECONSTRUCTION = "simulator", "reconstruction"


def simulate(prompt: Prompt, spec: WorldSpec, seeds: Sequence[int]) -> Float[Tensor, "1 3 T H W"]:
    """The simulator's video of a prompt in the size of a world."""
    clips = SIMULATORS[prompt.family](
        1,
        rng=np.random.default_rng(list(seeds)),
        frames=spec.num_frames,
        size=spec.height,
        attributes=[prompt.attributes],
        split="all",
    )
    return torch.from_numpy(clips.video)


def reconstruct(world: World, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B 3 T H W"]:
    """A video as the world's autoencoder gives it back."""
    return world.decode(world.encode(video, normalised=False), normalised=False)


def project(
    spec: WorldSpec, laws: Laws, prompt: Prompt, video: Float[Tensor, "1 3 T H W"]
) -> Float[Tensor, "1 3 T H W"]:
    """The video ``[1, 3, T, H, W]`` of a prompt, projected onto laws; read as the world's spec says."""
    return project_video(video, Projection(laws), spec.observable(prompt.caption), spec.grid(prompt.caption)).video
