"""Text-to-video pipelines with a physical scale."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from omegaconf import OmegaConf

from physgen.errors import InvalidArgument
from physgen.worlds.world import Family, World, WorldSpec

__all__ = ["Family", "World", "WorldSpec", "load_world", "world_names", "world_spec"]


def world_names() -> list[str]:
    """Names that `load_world` knows, one YAML file each.

    >>> "micro" in world_names()
    True
    """
    folder = files("physgen.conf") / "world"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def world_spec(name: str) -> WorldSpec:
    """Physical scale and defaults of a world, without its weights.

    Raises: InvalidArgument for an unknown name.

    >>> world_spec("micro").grid("a drop of green dye").spacing
    (2.0, 2.0)
    """
    if name not in world_names():
        raise InvalidArgument("world", name, ", ".join(world_names()))
    config = OmegaConf.create((files("physgen.conf") / "world" / f"{name}.yaml").read_text(encoding="utf-8"))
    spec = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(WorldSpec), config))
    assert isinstance(spec, WorldSpec)
    return spec


def load_world(name: str = "micro", path: str | None = None, *, device: str | None = None) -> World:
    """Load a world's pipeline; ``path`` is a diffusers folder to use in place of the world's own.

    Raises: InvalidArgument for an unknown name; FileNotFoundError when the weights are not there.
    """
    return replace(world_spec(name), path=path).load(device)
