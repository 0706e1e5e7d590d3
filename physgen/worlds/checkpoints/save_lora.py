"""Write a LoRA that was trained with peft in the names that MicroVerse's trainer uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.checkpoint import translated

#: parts of diffusers' names of a Wan transformer's layers, and Wan's own
NATIVE = {
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "o",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}


def native(module: str) -> str:
    """Wan's own name of a layer that a LoRA can be on.

    Raises:
        InvalidArgument: another layer.

    >>> native("blocks.0.attn1.to_out.0"), native("blocks.11.ffn.net.2")
    ('blocks.0.self_attn.o', 'blocks.11.ffn.2')
    """
    name = f"{module}."
    for ours, theirs in NATIVE.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    if name == f"{module}." or translated(f"{name}weight", {}) != f"{module}.weight":
        raise InvalidArgument("module", module, f"layers of a Wan block: {', '.join(NATIVE)}")
    return name.removesuffix(".")


def save_lora(transformer: Any, path: str | Path, adapter: str = "default") -> Path:
    """Write the LoRA that peft put on a Wan transformer: ``blocks.0.self_attn.q.lora_A.default.weight`` and so on.

    `load_checkpoint` and DiffSynth's loader read it. The names leave no place for an alpha, so B is written times
    peft's scale (alpha / r).

    Raises:
        InvalidArgument: no LoRA of that name, or one on other layers than `NATIVE`.

    Source: names as written by DiffSynth-Studio.
    """
    state = {}
    for module, layer in transformer.named_modules():
        if adapter in getattr(layer, "lora_A", {}):
            name = native(module)
            state[f"{name}.lora_A.default.weight"] = layer.lora_A[adapter].weight.detach().cpu().contiguous()
            scaled = layer.scaling[adapter] * layer.lora_B[adapter].weight.detach()
            state[f"{name}.lora_B.default.weight"] = scaled.cpu().contiguous()
    if not state:
        raise InvalidArgument("adapter", adapter, "the name of a LoRA that is on the transformer")
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    with torch.no_grad():
        save_file(state, partial)
    partial.replace(path)
    return path
