"""Names of a Wan transformer's weights: diffusers', Wan's own, and what trainers make of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch

from physgen.errors import InvalidArgument

#: what trainers put before a name, also several of them
PREFIXES = re.compile(r"((base_model\.model|pipe\.dit|model\.diffusion_model|diffusion_model|transformer)\.)*")
#: kohya's and VideoX-Fun's names: the module with underscores in place of its dots, then the rest
FLAT = re.compile(r"lora_unet__?(?P<module>[^.]+)(?P<rest>.*)")
#: parts of diffusers' names, and Wan's own
NATIVE = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "o",
    "add_k_proj": "k_img",
    "add_v_proj": "v_img",
    "norm_added_k": "norm_k_img",
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_out": "head.head",
}


def native(module: str) -> str:
    """Wan's own name of a layer, from diffusers'.

    >>> native("blocks.0.attn1.to_out.0"), native("blocks.11.ffn.net.2"), native("proj_out")
    ('blocks.0.self_attn.o', 'blocks.11.ffn.2', 'head.head')
    """
    name = f".{module}."
    for ours, theirs in NATIVE.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    return name[1:-1]


def translated(name: str, shapes: Mapping[str, torch.Size]) -> str:
    """Diffusers' name of a weight that Wan's own code names; a name that the transformer has is left alone.

    >>> translated("blocks.0.self_attn.q.weight", {})
    'blocks.0.attn1.to_q.weight'
    """
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    if name in shapes or "motion_encoder" in name or "face_adapter" in name:  # of Wan-Animate, whose values it reads
        return name
    return next(iter(convert_wan_transformer_to_diffusers({name: None})))


def plain_names(keys: Iterable[str], shapes: Mapping[str, torch.Size]) -> dict[str, str]:
    """The keys of a file without prefixes and with the dots that kohya's names leave out, by key.

    Raises:
        InvalidArgument: a name of kohya's that is no layer of this transformer.

    >>> shapes = {"blocks.0.attn1.to_q.weight": torch.Size([24, 24])}
    >>> plain_names(["base_model.model.transformer.proj_out.bias", "lora_unet_blocks_0_self_attn_q.alpha"], shapes)
    ... # doctest: +NORMALIZE_WHITESPACE
    {'base_model.model.transformer.proj_out.bias': 'proj_out.bias',
     'lora_unet_blocks_0_self_attn_q.alpha': 'blocks.0.attn1.to_q.alpha'}
    """
    modules = {name.rpartition(".")[0] for name in shapes}
    flat = {form.replace(".", "_"): module for module in modules for form in (module, native(module))}
    names = {}
    for key in keys:
        match = FLAT.fullmatch(key)
        if match and match["module"] not in flat:
            raise InvalidArgument("checkpoint", key, "names of layers of this transformer after lora_unet_")
        names[key] = flat[match["module"]] + match["rest"] if match else PREFIXES.sub("", key, count=1)
    return names
