"""Numbers of the text that belong to no figure: counted in the package and in the results."""

from __future__ import annotations

import json
from importlib import resources
from math import prod
from typing import Any

from safetensors import safe_open

import physgen
from physgen.equations.systems import SYSTEMS
from physgen.experiments.cli.config import configure
from physgen.experiments.microworldbench.scoring import published
from physgen.experiments.microworldbench.tasks.data import read_tasks
from physgen.experiments.microworldbench.tasks.named import named_tasks
from physgen.experiments.paper.results.numbers import Number
from physgen.experiments.paper.results.store import Store
from physgen.simulators import GRAMMARS
from physgen.worlds import world_spec


def about(store: Store) -> dict[str, Any]:
    """Version, and numbers of the package and of all runs together; a run that two sweeps share is counted once."""
    world, tasks, models = world_spec("micro"), named_tasks("micro")[0], published.PUBLISHED
    numbers = {
        "frames": Number(world.num_frames, ("conf/world/micro.yaml",)),
        "size": Number(world.width, ("conf/world/micro.yaml",)),
        "steps": Number(world.steps, ("conf/world/micro.yaml",)),
        "guidance_scale": Number(world.guidance_scale, ("conf/world/micro.yaml",)),
        "families": Number(len(GRAMMARS), ("physgen.simulators.GRAMMARS",)),
        "world": Number(store.worlds.figures or world.version, ("results/worlds.yaml",)),
        "transformer": Number(parameters("transformer"), ("physgen/worlds/micro/weights",)),
        "autoencoder": Number(parameters("vae"), ("physgen/worlds/micro/weights",)),
        "clips": Number(configure("train", []).simulator.clips, ("conf/simulator/all.yaml",)),
        "systems": Number(len(SYSTEMS), ("physgen.equations.systems.SYSTEMS",)),
        "tasks": Number(len(read_tasks(tasks)), (tasks.name,)),
        "published": Number(len(models), (published.__name__,)),
        "published_low": Number(min(one.average for one in models), (published.__name__,)),
        "published_high": Number(max(one.average for one in models), (published.__name__,)),
    }
    runs: set[str] = set()
    for path in sorted(store.folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if "runs" in data:
            runs |= store.sweep(path.stem).finished
    return {
        "version": store.version,
        "package": physgen.__version__,
        "numbers": {name: number.record() for name, number in numbers.items()}
        | {"runs": Number(len(runs), ("results/*.parquet",)).record()},
    }


def parameters(part: str) -> float:
    """Millions of weights in a part of the embedded world, from the header of its file.

    >>> 5 < parameters("transformer") < 8
    True
    """
    path = resources.files("physgen.worlds.micro") / "weights" / part / "diffusion_pytorch_model.safetensors"
    with resources.as_file(path) as file, safe_open(file, "pt") as tensors:
        return sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()) / 1e6  # noqa: SIM118 (no mapping)
