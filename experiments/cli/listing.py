"""`physgen worlds` and `physgen constraints`."""

from __future__ import annotations

import inspect
from pathlib import Path

from rich.console import Console
from rich.table import Table

import physgen.constraints
from physgen.constraints.base import Constraint
from physgen.errors import InvalidArgument
from physgen.worlds import MissingWeights, world_names, world_spec
from physgen.worlds.checkpoints.weights import check_whole, find_weights


def worlds() -> None:
    """Print every world, its size, the kinds of video it knows, and whether its weights are on this machine."""
    table = _table("world", "weights", "here", "video", "families: µm per pixel, s per frame")
    for name in world_names():
        if name == "other":
            table.add_row(name, "pipeline=FOLDER or HUB/ID", "", "its own", "")
            continue
        spec = world_spec(name)
        try:
            folder = find_weights(spec)
        except MissingWeights:
            here = "no"
        else:
            here = presence(folder)
        families = "\n".join(f"{key} {f.spacing[0]:g}, {f.dt:g}" for key, f in spec.families.items())
        video = f"{spec.width} x {spec.height} x {spec.num_frames}, {spec.fps:g} fps"
        weights = (spec.hub or "in the package") + (" and checkpoint=" if spec.needs_checkpoint else "")
        table.add_row(name, weights, here, video, families)
    Console().print(table)


def presence(folder: Path) -> str:
    """Whether a pipeline's folder is whole."""
    try:
        check_whole(folder)
    except InvalidArgument:
        return "damaged"
    return "yes"


def constraints() -> None:
    """Print every constraint, its kind, whether it can be projected onto, and what it says."""
    table = _table("constraint", "class", "kind", "projects", "meaning")
    for value in vars(physgen.constraints).values():
        if isinstance(value, type) and issubclass(value, Constraint) and not inspect.isabstract(value):
            projects = "yes" if value.projects else "no"
            meaning = (inspect.getdoc(value) or "").splitlines()[0]
            table.add_row(value.name, value.__name__, value.kind, projects, meaning)
    Console().print(table)


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
