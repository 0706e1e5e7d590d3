"""Tiny untrained pipelines of every class in the registry, saved as their publishers save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
from safetensors.torch import save_file
from sampling.test_pipelines import cogvideox, hunyuan, wan, wan_2_2
from torch import Tensor
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaModel,
    LlamaTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)

WORDS = ("a", "cell", "divides", "heart", "beats", "dye")
#: diffusers' names of a Wan transformer's weights, and Wan's own
NATIVE = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "to_out.0": "o",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "norm2": "norm3",
    "proj_out": "head.head",
}


def native_name(name: str) -> str:
    """Wan's own name of a weight."""
    if name == "scale_shift_table":
        return "head.modulation"
    name = name.replace("scale_shift_table", "modulation")
    for ours, theirs in NATIVE.items():
        name = name.replace(ours, theirs)
    return name


def t5(kind: type, config: type, width: int) -> dict[str, Any]:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0) for word in WORDS)]
    sizes = {"d_model": width, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    encoder = kind(config(vocab_size=len(pieces), **sizes))
    return {"tokenizer": T5TokenizerFast(vocab=pieces, extra_ids=0), "text_encoder": encoder}


def llama_and_clip(width: int, pooled: int) -> dict[str, Any]:
    llama = LlamaConfig(
        vocab_size=8,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        pad_token_id=0,
    )
    clip = CLIPTextConfig(
        vocab_size=8, hidden_size=pooled, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    return {
        "tokenizer": LlamaTokenizerFast(
            vocab={"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4}, merges=[], pad_token="<unk>"
        ),
        "text_encoder": LlamaModel(llama),
        "tokenizer_2": CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}, merges=[]),
        "text_encoder_2": CLIPTextModel(clip),
    }


def wan_pipe() -> Any:
    return with_encoders(wan().pipe, **t5(UMT5EncoderModel, UMT5Config, 32))


def wan_a14b_pipe() -> Any:
    return with_encoders(wan_2_2().pipe, **t5(UMT5EncoderModel, UMT5Config, 32))


def wan_ti2v_pipe() -> Any:
    """Times that grow by the token, and an autoencoder of 2 x 2 patches with residual shortcuts."""
    pipe = wan().pipe
    vae = d.AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    components = {**pipe.components, "vae": vae, **t5(UMT5EncoderModel, UMT5Config, 32)}
    return d.WanPipeline(**components, expand_timesteps=True)


def seeing_transformer(**options: Any) -> Any:
    """A transformer that reads a mask and the latents of a picture behind those of the video."""
    return d.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=36,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=32,
        **options,
    )


def wan_i2v_pipe() -> Any:
    """Reads the first frame twice: as latents, and as an image encoder's tokens."""
    pipe = wan_pipe()
    vision = CLIPVisionConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    seeing = {
        "transformer": seeing_transformer(image_dim=8, added_kv_proj_dim=24),
        "image_encoder": CLIPVisionModel(vision),
        "image_processor": CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28),
    }
    return d.WanImageToVideoPipeline(**{**pipe.components, **seeing})


def wan_i2v_a14b_pipe() -> Any:
    seeing = {name: seeing_transformer() for name in ("transformer", "transformer_2")}
    return d.WanImageToVideoPipeline(**{**wan_pipe().components, **seeing}, boundary_ratio=0.9)


def hunyuan_pipe() -> Any:
    return with_encoders(hunyuan().pipe, **llama_and_clip(16, 8))


def cogvideox_pipe() -> Any:
    return with_encoders(cogvideox(d.CogVideoXDDIMScheduler).pipe, **t5(T5EncoderModel, T5Config, 16))


#: by name of the world, the pipeline and what differs from the world's own options at this size
PIPELINES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "microverse": (wan_pipe, {"needs_checkpoint": False}),
    "wan2.1-t2v-1.3b": (wan_pipe, {}),
    "wan2.1-t2v-14b": (wan_pipe, {}),
    "wan2.2-ti2v-5b": (wan_ti2v_pipe, {"height": 32, "width": 32}),
    "wan2.2-t2v-a14b": (wan_a14b_pipe, {}),
    "hunyuanvideo": (hunyuan_pipe, {}),
    "cogvideox-5b": (cogvideox_pipe, {"max_sequence_length": 8}),
}

#: likewise, of worlds that draw from a picture or a movie
STARTED: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "wan2.1-i2v-14b": (wan_i2v_pipe, {}),
    "wan2.2-i2v-a14b": (wan_i2v_a14b_pipe, {}),
    "wan2.1-v2v-1.3b": (wan_pipe, {}),
}


def with_encoders(pipe: Any, **components: Any) -> Any:
    return type(pipe)(**{**pipe.components, **components, **{k: v for k, v in pipe.config.items() if k in BESIDE}})


#: entries of ``model_index.json`` that are no components
BESIDE = ("boundary_ratio", "expand_timesteps")


def save_tiny_pipeline(world: str, folder: Path) -> Path:
    """Write the pipeline into a new folder and return it."""
    torch.manual_seed(0)
    (PIPELINES | STARTED)[world][0]().save_pretrained(folder)
    return folder


def save_lora(file: Path, transformer: Any, rank: int = 4, prefix: str = "") -> dict[str, tuple[Tensor, Tensor]]:
    """A LoRA of every layer that MicroVerse trains, in DiffSynth's names; its pairs by diffusers' names."""
    generator = torch.Generator().manual_seed(7)
    pairs, state = {}, {}
    for name, weight in transformer.state_dict().items():
        module = native_name(name).removesuffix(".weight")
        if name.endswith(".weight") and module.endswith((".q", ".k", ".v", ".o", "ffn.0", "ffn.2")):
            out_features, in_features = weight.shape
            a = torch.randn(rank, in_features, generator=generator)
            b = torch.randn(out_features, rank, generator=generator) / 10
            pairs[name] = (a, b)
            state[f"{prefix}{module}.lora_A.default.weight"] = a
            state[f"{prefix}{module}.lora_B.default.weight"] = b
    save_file(state, file)
    return pairs


def save_full(file: Path, transformer: Any, prefix: str = "") -> None:
    """Every weight of a transformer in Wan's own names."""
    state = {f"{prefix}{native_name(name)}": weight.contiguous() for name, weight in transformer.state_dict().items()}
    save_file(state, file)
