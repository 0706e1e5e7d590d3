"""Write a LoRA that was trained with peft in the names that MicroVerse's trainer uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.names import native


def save_lora(transformer: Any, path: str | Path, adapter: str = "default") -> Path:
    """Write the LoRA that peft put on a Wan transformer: ``blocks.0.self_attn.q.lora_A.default.weight`` and so on.

    `load_checkpoint` and DiffSynth's loader read it. The names leave no place for an alpha, so B is written times
    peft's scale (alpha / r).

    Raises:
        InvalidArgument: no LoRA of that name, or one on layers outside the blocks.

    Source: names as written by DiffSynth-Studio.
    """
    state = {}
    for module, layer in transformer.named_modules():
        if adapter in getattr(layer, "lora_A", {}):
            if not module.startswith("blocks."):
                raise InvalidArgument("module", module, "layers of a Wan block: blocks.N....")
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
