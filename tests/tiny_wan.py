"""The tiny Wan network that checkpoints are tried on."""

from __future__ import annotations

from typing import Any

import torch
from sampling.test_pipelines import wan
from torch import Tensor


def tiny(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    pipe = wan().pipe
    for parameter in pipe.transformer.parameters():  # the output layer starts at zero
        parameter.data.normal_(std=0.2)
    return pipe


@torch.no_grad()
def output(network: Any) -> Tensor:
    """What a pipeline's transformer, or a network around one, computes."""
    generator = torch.Generator().manual_seed(2)
    latents, text = torch.randn(1, 16, 3, 2, 2, generator=generator), torch.randn(1, 8, 32, generator=generator)
    return getattr(network, "transformer", network)(latents, torch.tensor([500]), text, return_dict=False)[0]
