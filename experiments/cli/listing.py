"""`physgen worlds` and `physgen constraints`: the choices of the command line, and what each says."""

from __future__ import annotations

import re
from typing import Any

from physgen.constraints import Constraint
from physgen.errors import InvalidArgument
from physgen.experiments.cli.config import choice, choices, configure, hydra_errors, needed, typed
from physgen.experiments.cli.search import config_file
from physgen.experiments.cli.target import find_class
from physgen.worlds import MissingWeights, WorldSpec
from physgen.worlds.checkpoints.weights import check_whole, find_weights


def worlds() -> None:
    """Print every world, whether its weights are on this machine, the size of its videos, and what it is."""
    print(f"{'world':<18} {'here':<8} {'video':<26} what it is")
    for name in choices("world"):
        here, video = "", "pipeline=FOLDER or HUB/ID"
        if name != "other":
            spec = typed(configure("evaluate", [f"world={name}"]).world, WorldSpec)
            here, video = presence(spec), f"{spec.width} x {spec.height} x {spec.num_frames}, {spec.fps:g} fps"
        print(f"{name:<18} {here:<8} {video:<26} {meaning('world', name)}")


def presence(spec: WorldSpec) -> str:
    """Whether a world's weights are on this machine, and whole."""
    try:
        folder = find_weights(spec)
    except MissingWeights:
        return "no"
    try:
        check_whole(folder)
    except InvalidArgument:
        return "damaged"
    return "yes"


def constraints() -> None:
    """Print every constraint, its kind, whether it can be projected onto, options it needs, and what it says."""
    print(f"{'constraint':<18} {'kind':<10} {'projects':<8} {'needs':<18} what it says")
    for name in choices("constraint"):
        kind, projects, needs = "", "", ", ".join(needed("constraint", name))
        with hydra_errors("sample", [f"constraint={name}"]):
            target = choice("constraint", name).get("_target_")
        if target:
            law: Any = find_class(Constraint, str(target))
            kind, projects = law.kind, "yes" if law.projects else "no"
        print(f"{name:<18} {kind:<10} {projects:<8} {needs:<18} {meaning('constraint', name)}")


def meaning(group: str, name: str) -> str:
    """The first sentence of the comment at the top of a choice's file.

    >>> meaning("guidance", "afterwards")
    'Nothing on the way, only the projection of the finished video: the free baseline.'
    """
    lines = config_file(f"{group}/{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = [line[1:].strip() for line in lines if line.startswith("#") and not line.startswith("# @")]
    return re.split(r"(?<=\.)\s", " ".join(comment) + " ")[0].strip()
