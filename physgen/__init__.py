"""Physics constraints for video diffusion: keep generated microscope videos lawful."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physgen.drawn import Request, draw
    from physgen.ensemble import Ensemble
    from physgen.grid import Grid
    from physgen.projected import project_video
    from physgen.sampling.diffusers import guide
    from physgen.worlds import load_world

__version__ = "0.1.0"

_NAMES = {
    "Ensemble": "physgen.ensemble",
    "Grid": "physgen.grid",
    "Request": "physgen.drawn",
    "draw": "physgen.drawn",
    "guide": "physgen.sampling.diffusers",
    "load_world": "physgen.worlds",
    "project_video": "physgen.projected",
}
_ROOMS = (
    "constraints",
    "dynamics",
    "equations",
    "errors",
    "guidance",
    "measure",
    "observables",
    "ops",
    "sampling",
    "simulators",
    "training",
    "video",
    "worlds",
)
__all__ = ["Ensemble", "Grid", "Request", "__version__", "draw", "guide", "load_world", "project_video"]


def __getattr__(name: str) -> Any:
    """Names and rooms are loaded when they are asked for."""
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"physgen.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
