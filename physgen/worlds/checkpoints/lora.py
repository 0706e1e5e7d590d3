"""Low-rank updates of linear layers, W + alpha B A, as trainers name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from physgen.errors import InvalidArgument

KEY = re.compile(r"(?P<module>.+)\.(?:(?P<half>lora_A|lora_B|lora_down|lora_up)(?:\.\w+)?\.weight|alpha)")
HALVES = {"lora_A": "A", "lora_down": "A", "lora_B": "B", "lora_up": "B", None: "alpha"}


@dataclass
class Update:
    """The keys of one layer's update in the file: A ``[r, in]``, B ``[out, r]``, and perhaps a scalar alpha."""

    keys: dict[str, str] = field(default_factory=dict)

    def delta(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """B A ``[out, in]`` in float32, times alpha / r where the file has an alpha."""
        a, b = (tensors[self.keys[half]].float() for half in "AB")
        scale = tensors[self.keys["alpha"]].item() / len(a) if "alpha" in self.keys else 1.0
        return scale * (b @ a)


def updates(names: Iterable[tuple[str, str]]) -> dict[str, Update]:
    """Updates by layer, from pairs of a name and its key in the file; names of anything else are left out.

    >>> pairs = [(f"blocks.0.self_attn.q.lora_{half}.default.weight", half) for half in "AB"]
    >>> updates([*pairs, ("blocks.0.norm3.weight", "C")])
    {'blocks.0.self_attn.q': Update(keys={'A': 'A', 'B': 'B'})}
    """
    found: dict[str, Update] = {}
    for name, key in names:
        if match := KEY.fullmatch(name):
            found.setdefault(match["module"], Update()).keys[HALVES[match["half"]]] = key
    return found


def check_update(update: Update, tensors: Mapping[str, Tensor], weight: torch.Size) -> None:
    """Refuse an update that cannot be added to a weight ``[out, in]``.

    Raises:
        InvalidArgument: half a pair, two ranks, the shape of another layer.
    """
    if missing := {"A", "B"} - update.keys.keys():
        there = next(iter(update.keys.values()))
        raise InvalidArgument("checkpoint", there, f"pairs lora_A and lora_B: its lora_{min(missing)} is not there")
    a, b = (tensors[update.keys[half]] for half in "AB")
    shapes = f"{update.keys['A']} {list(a.shape)}, lora_B {list(b.shape)}"
    if a.ndim != 2 or b.ndim != 2 or not 0 < len(a) == b.shape[1]:
        raise InvalidArgument("checkpoint", shapes, "lora_A [r, in] and lora_B [out, r] of one rank r > 0")
    if "alpha" in update.keys and tensors[update.keys["alpha"]].numel() != 1:
        raise InvalidArgument("checkpoint", update.keys["alpha"], "a scalar")
    if (b.shape[0], a.shape[1]) != tuple(weight):
        raise InvalidArgument(
            "checkpoint", shapes, f"a LoRA of this architecture: the layer's weight here is {list(weight)}"
        )
