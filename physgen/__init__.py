"""Physics constraints for video diffusion: keep generated microscope videos lawful."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physgen.drawn import Request as Request
    from physgen.drawn import draw as draw
    from physgen.ensemble import Ensemble as Ensemble
    from physgen.grid import Grid as Grid
    from physgen.projected import project_video as project_video
    from physgen.sampling.diffusers import guide as guide
    from physgen.worlds import load_world as load_world

__version__ = "0.1.0"

#: where each name is, and the rooms themselves; all are loaded when they are asked for
_HOMES = {
    "Ensemble": "ensemble",
    "Grid": "grid",
    "Request": "drawn",
    "draw": "drawn",
    "guide": "sampling.diffusers",
    "load_world": "worlds",
    "project_video": "projected",
    "arguments": "arguments",
    "audit": "audit",
    "constraints": "constraints",
    "drawn": "drawn",
    "dynamics": "dynamics",
    "ensemble": "ensemble",
    "equations": "equations",
    "errors": "errors",
    "experiments": "experiments",
    "grid": "grid",
    "guidance": "guidance",
    "measure": "measure",
    "observables": "observables",
    "ops": "ops",
    "places": "places",
    "projected": "projected",
    "sampling": "sampling",
    "simulators": "simulators",
    "stencil": "stencil",
    "tensors": "tensors",
    "training": "training",
    "video": "video",
    "worlds": "worlds",
}
__all__ = ["__version__", *(name for name, home in _HOMES.items() if name != home)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return home if name == _HOMES[name] else getattr(home, name)


def __dir__() -> list[str]:
    return sorted({"__version__", *_HOMES})
