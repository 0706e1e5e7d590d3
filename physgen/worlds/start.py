"""What a pipeline draws from beside its prompt: a picture of the first frame, a whole video, or nothing."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.worlds.spec import WorldSpec

IMAGE, VIDEO = "image", "video"
NEEDED = {
    IMAGE: "a picture of the whole first frame, observed=FILE: {world} starts from one",
    VIDEO: "a movie of all frames, observed=FILE: {world} starts from one",
}


def starts_from(pipeline: type) -> str | None:
    """``image``, ``video`` or nothing, by what a pipeline takes.

    >>> from diffusers import WanImageToVideoPipeline, WanPipeline
    >>> starts_from(WanImageToVideoPipeline), starts_from(WanPipeline)
    ('image', None)
    """
    takes = inspect.signature(pipeline.__call__).parameters
    return next((name for name in (IMAGE, VIDEO) if name in takes), None)


def with_start(spec: WorldSpec, start: Tensor | None) -> WorldSpec:
    """The world as it draws from first frames: by its ``image_pipeline``, where it has one and there are any.

    >>> import torch
    >>> from physgen.worlds import world_spec
    >>> spec = with_start(world_spec("wan2.2-ti2v-5b"), torch.zeros(3, 1, 704, 1280))
    >>> spec.pipeline, spec.saved_as
    ('diffusers.WanImageToVideoPipeline', 'WanPipeline')
    """
    if start is None or spec.image_pipeline is None:
        return spec
    return replace(spec, pipeline=spec.image_pipeline, saved_as=spec.pipeline.rpartition(".")[2])


def require_start(spec: WorldSpec, pipeline: type, start: Float[Tensor, "3 n H W"] | None) -> None:
    """Refuse a pipeline that draws from frames that are not there.

    Raises:
        InvalidArgument: no first frame, or not all of them where it draws from a video.
    """
    kind = starts_from(pipeline)
    have = 0 if start is None else start.shape[1]
    if kind is not None and have < (1 if kind == IMAGE else spec.num_frames):
        raise InvalidArgument(
            "observed", f"{have} whole frames" if have else None, NEEDED[kind].format(world=spec.name)
        )


def start_options(spec: WorldSpec, pipe: Any, start: Float[Tensor, "3 n H W"] | None) -> dict[str, Any]:
    """What is given to a pipeline for it to start from ``start``, first frames in [0, 1].

    A pipeline with an image encoder takes a picture of 8 bits.

    Raises:
        InvalidArgument: see `require_start`.
    """
    kind = starts_from(type(pipe))
    require_start(spec, type(pipe), start)
    if kind is None or start is None:
        return {}
    if kind == VIDEO:
        return {VIDEO: start.transpose(0, 1)[None]}
    image = start[None, :, 0]
    if getattr(pipe, "image_encoder", None) is None:
        return {IMAGE: image}
    return {IMAGE: pipe.video_processor.numpy_to_pil(image.permute(0, 2, 3, 1).numpy())[0]}
