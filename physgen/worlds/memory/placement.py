"""Where the parts of a pipeline are while it runs: offloading, tiles of the autoencoder, the attention's kernel."""

from __future__ import annotations

from typing import Any

import torch

from physgen.errors import InvalidArgument
from physgen.worlds.spec import WorldSpec

OFFLOAD = ("none", "model", "sequential", "group")


def check_placement(spec: WorldSpec) -> None:
    """Refuse an offloading or attention that diffusers does not have, or cannot run here.

    Kernels that diffusers would fetch from the hub are left out: nothing is downloaded.

    Raises:
        InvalidArgument: an unknown one, or an attention whose package is missing.
    """
    if spec.offload not in OFFLOAD:
        raise InvalidArgument("world.offload", spec.offload, ", ".join(OFFLOAD))
    if spec.attention is None:
        return
    from diffusers.models import attention_dispatch

    backends = {entry.value: entry for entry in attention_dispatch.AttentionBackendName if "hub" not in entry.value}
    if spec.attention not in backends:
        raise InvalidArgument("world.attention", spec.attention, ", ".join(backends))
    try:
        attention_dispatch._check_attention_backend_requirements(backends[spec.attention])
    except RuntimeError as error:
        raise InvalidArgument("world.attention", spec.attention, f"one that runs here: {error}") from error


def place(pipe: Any, spec: WorldSpec, device: str | torch.device) -> Any:
    """Bring a loaded pipeline to a device as its world says.

    ``none`` moves everything; ``model`` one model at a time, as it is called; ``sequential`` one layer at a time;
    ``group`` one layer at a time as well, the next on its way while one computes, and the autoencoder always there.

    Raises:
        InvalidArgument: tiles or slices of an autoencoder that has none.

    Source: diffusers, documentation of "Reduce memory usage".
    """
    device = torch.device(device)
    for option, wanted in {"tiling": spec.tiling, "slicing": spec.slicing}.items():
        if wanted and not hasattr(pipe.vae, f"enable_{option}"):
            raise InvalidArgument(f"world.{option}", True, f"false: {type(pipe.vae).__name__} has none")
        if wanted:
            getattr(pipe.vae, f"enable_{option}")()
    for name in ("transformer", "transformer_2"):
        if spec.attention and getattr(pipe, name, None) is not None:
            getattr(pipe, name).set_attention_backend(spec.attention)
    if spec.offload == "none":
        return pipe.to(device)
    if spec.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif spec.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        streams = device.type == "cuda"
        pipe.enable_group_offload(device, offload_type="leaf_level", use_stream=streams, exclude_modules="vae")
    return pipe
