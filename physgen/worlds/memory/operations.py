"""Floating-point operations of a run, counted on the meta device: no weights, no GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from physgen.worlds.memory.activations import FEW, MORE, decoding, step, tiles
from physgen.worlds.memory.architecture import text_length
from physgen.worlds.memory.plan import Planner


def counted(work: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, convolutions and attention in `work`, ways back included.

    A multiplication and an addition count as two.

    >>> counted(lambda: torch.empty(2, 3, device="meta") @ torch.empty(3, 5, device="meta"))
    60
    """
    counter = _Counter()
    with counter:
        work()
    return counter.total


def network_operations(planner: Planner) -> int:
    """Of one evaluation of the transformer."""
    model, latents = planner.models["transformer"], planner.latents
    return counted(lambda: step(model, latents, text_length(planner.spec), planner.pipeline, graph=False))


def decode_operations(planner: Planner, *, guided: bool) -> int:
    """Of one decode, and where it is guided of the way back and of the activations that are made again for it.

    Frames beyond the fifth and tiles beyond the first are taken to cost as much as those before.
    """
    vae = planner.models["vae"]
    vae.use_tiling = planner.spec.tiling
    (channels, frames, *size), times = tiles(vae, planner.latents)

    def of(frames: int, graph: bool) -> int:
        return counted(lambda: decoding(vae, (channels, frames, *size), graph))

    def extended(graph: bool) -> float:
        if frames <= MORE:
            return float(of(frames, graph))
        few, more = of(FEW, graph), of(MORE, graph)
        return more + (frames - MORE) / (MORE - FEW) * (more - few)

    again = extended(graph=False) if guided and planner.spec.tiling else 0  # each tile is made once more as a whole
    return round(times * (extended(graph=guided) + again))


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        packet = function._overloadpacket
        if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            self.total += sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        return result
