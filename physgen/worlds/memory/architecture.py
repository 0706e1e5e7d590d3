"""The models of a world without their weights: on the meta device, from the configurations that are published."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch

from physgen.errors import InvalidArgument
from physgen.worlds.checkpoints.weights import find_weights, pipeline_class, read_index
from physgen.worlds.spec import WorldSpec

#: transformers whose sizes and inputs are known here
TRANSFORMERS = ("WanTransformer3DModel", "HunyuanVideoTransformer3DModel", "CogVideoXTransformer3DModel")
MODELS = ("transformer", "transformer_2", "vae", "text_encoder", "text_encoder_2", "image_encoder")


def configurations(spec: WorldSpec) -> dict[str, dict[str, Any]]:
    """Configuration of every model, ``_class_name`` included: of the folder where there is one, else of the world.

    Raises:
        InvalidArgument: a world that states none and is not on this machine.
    """
    try:
        folder = find_weights(spec)
    except InvalidArgument:
        if not spec.components:
            raise
        return spec.components
    index = read_index(folder)
    here = [name for name in MODELS if (index.get(name) or [None])[0]]
    models = {name: {**_config(folder / name), "_class_name": index[name][1]} for name in here}
    return {**models, "pipeline": {name: value for name, value in index.items() if not isinstance(value, list)}}


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgument("pipeline", str(folder / "config.json"), f"a model's configuration ({error})") from error


def on_meta(spec: WorldSpec) -> dict[str, Any]:
    """Every model of a world in its precision, without memory for its weights.

    >>> from physgen.worlds import world_spec
    >>> models = on_meta(world_spec("wan2.1-t2v-1.3b"))
    >>> round(sum(p.numel() for p in models["transformer"].parameters()) / 1e9, 2), models["vae"].dtype
    (1.42, torch.float32)
    """
    models = {}
    configs = configurations(spec)
    for name, config in ((name, configs[name]) for name in MODELS if name in configs):
        dtype = getattr(torch, spec.dtype.get(name, spec.dtype["default"]))
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device("meta"):
                models[name] = _instantiated(config).eval().requires_grad_(False)
        finally:
            torch.set_default_dtype(default)
    return models


def parameters(spec: WorldSpec) -> int | None:
    """Number of the transformer's parameters, ``None`` where its configuration is not known.

    >>> from physgen.worlds import world_spec
    >>> parameters(world_spec("micro")) < 10e6 < parameters(world_spec("wan2.1-t2v-1.3b"))
    True
    """
    try:
        config = configurations(spec).get("transformer", {})
    except InvalidArgument:
        return None
    if config.get("_class_name") not in TRANSFORMERS:
        return None
    with torch.device("meta"):
        return sum(weight.numel() for weight in _instantiated(config).parameters())


def scheduler_of(spec: WorldSpec) -> dict[str, Any]:
    """Configuration of the scheduler, ``_class_name`` included, as far as it is known without the weights."""
    try:
        saved = json.loads((find_weights(spec) / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    except (InvalidArgument, OSError, ValueError):
        saved = {}
    return {**saved, **spec.scheduler}


def _instantiated(config: dict[str, Any]) -> Any:
    import diffusers
    import transformers

    from physgen.worlds.micro.autoencoder import MicroAutoencoder

    name, values = config["_class_name"], {key: value for key, value in config.items() if key[0] != "_"}
    if name == MicroAutoencoder.__name__:
        return MicroAutoencoder.from_config(config)
    if cls := getattr(diffusers, name, None):
        return cls.from_config(config)
    cls = getattr(transformers, name)
    return cls(cls.config_class(**values))


def pipeline_of(spec: WorldSpec) -> type:
    """Class of a world's pipeline."""
    import importlib

    import diffusers

    module, _, name = spec.pipeline.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    return pipeline_class(find_weights(spec)) if cls is diffusers.DiffusionPipeline else cls


def text_length(spec: WorldSpec) -> int:
    """Number of text tokens that the transformer reads."""
    if spec.max_sequence_length is not None:
        return spec.max_sequence_length
    return inspect.signature(pipeline_of(spec).__call__).parameters["max_sequence_length"].default


def check_size(spec: WorldSpec) -> None:
    """Refuse a size that a world's models cannot draw; sizes of other pipelines are their own affair.

    Raises: as `latent_shape`.
    """
    configs = configurations(spec)
    if configs.get("transformer", {}).get("_class_name") in TRANSFORMERS:
        latent_shape(spec, configs)


def latent_shape(spec: WorldSpec, configs: dict[str, dict[str, Any]]) -> tuple[int, int, int, int]:
    """Channels, frames, rows and columns of a world's latents.

    Raises:
        InvalidArgument: a size that its models cannot draw: pipelines round it, or fail when the weights are loaded.
    """
    vae, transformer = configs["vae"], configs["transformer"]
    space = vae.get("scale_factor_spatial") or vae.get("spatial_compression_ratio")
    space = space or 2 ** (len(vae.get("block_out_channels", "1234")) - 1)
    time = vae.get("scale_factor_temporal") or vae.get("temporal_compression_ratio") or 4
    patch = transformer.get("patch_size", 2)
    multiple = space * (patch if isinstance(patch, int) else patch[-1])
    for name in ("height", "width"):
        if (length := getattr(spec, name)) < multiple or length % multiple:
            raise InvalidArgument(f"world.{name}", length, f"multiples of {multiple}")
    if spec.num_frames < 1 or (spec.num_frames - 1) % time:
        raise InvalidArgument("world.num_frames", spec.num_frames, f"1 more than a multiple of {time}")
    channels = transformer.get("out_channels") or transformer.get("in_channels", 16)  # others are those of a picture
    return channels, (spec.num_frames - 1) // time + 1, spec.height // space, spec.width // space
