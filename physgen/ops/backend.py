"""Which implementation computes an operator: float64-capable torch, numba on a CPU, Triton on a GPU."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from physgen.errors import InvalidArgument

BACKENDS = ("auto", "reference", "numba", "triton")


def resolve_backend(backend: str, device: torch.device, supported: tuple[str, ...] = BACKENDS[1:]) -> str:
    """The implementation that ``backend`` names, or for ``auto`` the fastest that can run.

    ``auto`` is triton on a GPU, numba on a CPU, where ``supported`` has them and they are installed; else reference.
    Under ``TRITON_INTERPRET=1`` Triton kernels run on a CPU too (slowly, for tests), when asked for by name.

    Raises:
        InvalidArgument: an unknown backend, one that is not installed or not ``supported``, triton for CPU tensors,
            numba for GPU tensors.

    >>> resolve_backend("reference", torch.device("cpu"))
    'reference'
    >>> resolve_backend("triton", torch.device("cpu"))
    Traceback (most recent call last):
    physgen.errors.InvalidArgument: backend='triton': allowed: reference, numba for tensors on cpu...
    """
    if backend not in BACKENDS:
        raise InvalidArgument("backend", backend, ", ".join(BACKENDS))
    on_cpu = device.type == "cpu"
    fast = "numba" if on_cpu else "triton"
    usable = [name for name in ("reference", fast) if name in supported and (name == "reference" or find_spec(name))]
    if backend == "auto":
        return usable[-1]
    interpreted = backend == "triton" and on_cpu and os.environ.get("TRITON_INTERPRET") == "1"
    if backend in usable or (interpreted and backend in supported and find_spec("triton")):
        return backend
    raise InvalidArgument("backend", backend, f"{', '.join(usable)} for tensors on {device.type} here")
