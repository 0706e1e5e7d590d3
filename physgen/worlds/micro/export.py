"""Pack trained parts into the diffusers pipeline folder that the package ships."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from physgen.worlds.micro.autoencoder import MicroAutoencoder
from physgen.worlds.micro.pipeline import MicroPipeline


def export(
    folder: Path,
    *,
    transformer: WanTransformer3DModel,
    text_encoder: UMT5EncoderModel,
    tokenizer: PreTrainedTokenizerFast,
    autoencoder: MicroAutoencoder,
    latents_mean: list[float],
    latents_std: list[float],
    shift: float,
) -> int:
    """Write a pipeline folder in fp16 safetensors; returns its size in bytes.

    `diffusers.DiffusionPipeline.from_pretrained` opens it too (as `WanPipeline`) wherever physgen is installed.
    """
    autoencoder.register_to_config(latents_mean=latents_mean, latents_std=latents_std)
    pipe = MicroPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=autoencoder,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        transformer=transformer,
    )
    pipe.to(dtype=torch.float16)
    pipe.save_pretrained(folder, safe_serialization=True)
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "WanPipeline"}, indent=2) + "\n")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
