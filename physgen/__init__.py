"""Physics constraints for video diffusion: keep generated microscope videos lawful."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from physgen.grid import Grid
    from physgen.sampling.guide import guide
    from physgen.worlds import load_world

__version__ = "0.1.0"
__all__ = ["Grid", "__version__", "guide", "load_world"]

_EXPORTS = {"Grid": "physgen.grid", "guide": "physgen.sampling.guide", "load_world": "physgen.worlds"}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
