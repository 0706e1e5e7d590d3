"""Text-to-video pipelines with a physical scale."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from physgen.errors import InvalidArgument, invalid_argument
from physgen.worlds.checkpoints.checkpoint import LoadReport, load_checkpoint
from physgen.worlds.checkpoints.weights import MissingWeights, pipeline_default
from physgen.worlds.loading import load
from physgen.worlds.request import Request
from physgen.worlds.spec import Family, WorldSpec
from physgen.worlds.world import World

__all__ = [
    "Family",
    "LoadReport",
    "MissingWeights",
    "Request",
    "World",
    "WorldSpec",
    "load_checkpoint",
    "load_world",
    "world_names",
    "world_spec",
]

# conf/world/other.yaml takes what it does not know from the pipeline
OmegaConf.register_new_resolver("pipeline_default", pipeline_default, replace=True)


def world_names() -> list[str]:
    """Names that `load_world` knows, one YAML file each.

    >>> "micro" in world_names()
    True
    """
    folder = files("physgen.conf") / "world"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def world_spec(name: str, pipeline: str | None = None) -> WorldSpec:
    """Physical scale and defaults of a world, without its weights.

    ``pipeline`` is a diffusers folder or a hub id whose weights are used in place of the world's own.

    Raises:
        InvalidArgument: an unknown name; ``other`` without a pipeline, or with one that states no size.
        MissingWeights: ``other`` with a pipeline that is not on this machine.

    >>> world_spec("micro").grid("a drop of green dye").spacing
    (2.0, 2.0)
    """
    if name not in world_names():
        raise InvalidArgument("world", name, ", ".join(world_names()))
    text = (files("physgen.conf") / "world" / f"{name}.yaml").read_text(encoding="utf-8")
    config = OmegaConf.merge(OmegaConf.structured(WorldSpec), OmegaConf.create(text), {"path": pipeline})
    try:
        spec = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        if cause := invalid_argument(error):
            raise cause from error
        raise InvalidArgument("pipeline", pipeline, f"a folder or a hub id with world={name}") from error
    assert isinstance(spec, WorldSpec)
    return spec


def load_world(
    name: str | None = None, pipeline: str | None = None, *, checkpoint: str | None = None, device: str | None = None
) -> World:
    """Load a world's pipeline; ``pipeline`` is a diffusers folder or a hub id to use in place of the world's own.

    Without a name the world is ``micro``, or, with a pipeline, ``other``: that pipeline's own defaults. ``checkpoint``
    is as in `load_checkpoint`.

    Raises:
        InvalidArgument: an unknown name, a folder of another pipeline, a checkpoint that does not fit.
        MissingWeights: weights that are not on this machine; nothing is downloaded.
    """
    spec = world_spec(name or ("other" if pipeline else "micro"), pipeline)
    return load(replace(spec, checkpoint=checkpoint), device)
