"""Kernels that are generated from equations: their source, and the module that it is."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from physgen.equations.reaction_system import ReactionSystem
from physgen.kernels.cache import cache_directory

#: the loss and gradient in numba or Triton, and the steps of the flow map in numba
Kernel = Literal["numba", "triton", "lawson"]

TEMPLATES: dict[Kernel, str] = {
    "triton": "reaction_diffusion_triton.py.j2",
    "numba": "reaction_diffusion_numba.py.j2",
    "lawson": "lawson_numba.py.j2",
}


def kernel_source(system: ReactionSystem, kernel: Kernel) -> str:
    """Source of a kernel of an equation: what an operator takes beside tensors."""
    return _render(system, kernel)


# what torch.compiler.assume_constant_result does, without importing the compiler
kernel_source._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _render(system: ReactionSystem, kernel: Kernel) -> str:
    return _template(TEMPLATES[kernel]).render(system.code("triton" if kernel == "triton" else "numba"))


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, StrictUndefined

    text = files("physgen.kernels").joinpath(name).read_text(encoding="utf-8")
    return Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)


def load_source(name: str, source: str) -> ModuleType:
    """Run generated source as a module, with a file named by its content that numba's cache and Triton look at.

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
    module = ModuleType(module_name)
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), module.__dict__)
    sys.modules[module_name] = module
    return module


@cache
def kernel_module(source: str, kernel: Kernel, real: str = "float32") -> ModuleType:
    """The module of a kernel's source; numba's in ``float32`` or ``float64``."""
    return load_source(f"{kernel}_{real}", source.replace("np.float32", f"np.{real}"))
