"""Generated kernels: systems by key, and their source as an imported module."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol, runtime_checkable


@runtime_checkable
class Generated(Protocol):
    """What an operator needs to know of a reaction system: names, and the source of its kernels."""

    key: str
    species: tuple[str, ...]
    parameters: tuple[str, ...]

    def source(self, dialect: Literal["numba", "triton"]) -> str: ...


_systems: dict[str, Generated] = {}


def register(system: Generated) -> None:
    """Make a system known to the operators, which take its key: an operator's arguments are tensors and text."""
    _systems.setdefault(system.key, system)


def registered(key: str) -> Generated:
    """The system of a key."""
    return _systems[key]


def cache_directory() -> Path:
    """Private folder of generated modules: ``$PHYSGEN_CACHE``, else ``physgen`` in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("PHYSGEN_CACHE") or Path(home) / "physgen")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="physgen-"))


def load_source(name: str, source: str) -> ModuleType:
    """Import generated source from a file, as numba's cache and Triton need, named by its content.

    >>> load_source("doctest", "def double(x): return 2 * x").double(4)
    8
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    module_name = f"physgen_{name}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    path = cache_directory() / f"{module_name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(source)
        Path(file.name).replace(path)
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


@cache
def kernel_module(key: str, dialect: Literal["numba", "triton"], real: str = "float32") -> ModuleType:
    """The generated module of a system; numba's in ``float32`` or ``float64``."""
    source = registered(key).source(dialect)
    return load_source(f"{dialect}_{real}", source.replace("np.float32", f"np.{real}"))
