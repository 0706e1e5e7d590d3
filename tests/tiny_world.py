"""A tiny untrained world of the embedded world's own classes, saved as a diffusers folder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel

from physgen.worlds.micro.autoencoder import MicroAutoencoder
from physgen.worlds.micro.pipeline import MicroPipeline
from physgen.worlds.micro.text import build_text_encoder, build_tokenizer, vocabulary

#: overrides that fit its size
SIZES = ("world.height=32", "world.width=32", "world.num_frames=9", "world.steps=3")


def save_tiny_world(folder: Path) -> Path:
    """Write the world into a new folder and return it."""
    torch.manual_seed(0)
    words = vocabulary()
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=32,
    )
    vae = MicroAutoencoder(z_dim=4, dims=(8, 8, 8), latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    pipe = MicroPipeline(
        tokenizer=build_tokenizer(words),
        text_encoder=build_text_encoder(len(words) + 3, width=16, layers=1).eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
        transformer=transformer.eval(),
    )
    pipe.save_pretrained(folder)
    return folder
