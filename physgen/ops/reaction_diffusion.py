"""Loss of the reaction-diffusion residual between frames, with its gradient in the same pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial as bind
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from physgen.equations.reaction_system import ReactionSystem, Value
from physgen.errors import InvalidArgument
from physgen.grid import Grid
from physgen.ops.backend import resolve_backend
from physgen.ops.generated import kernel_module, kernel_source
from physgen.ops.launch import in_threads, scaled
from physgen.stencil import WALLS, check_wall, laplacian
from physgen.tensors import single

#: rows of a frame that one numba job marches through time, and values in them, so that they stay in the cache
ROWS, CACHED = 32, 2**15
#: programs that a Triton launch should have at least
PROGRAMS = 1024
SPACE = {1: "X", 2: "H, W", 3: "Z, H, W"}


def crank_nicolson_residual(
    u: Float[Tensor, "B S T *space"],
    system: ReactionSystem,
    diffusivity: Mapping[str, Value],
    parameters: Mapping[str, Value],
    grid: Grid,
    *,
    order: int = 2,
    wall: Mapping[str, Value] | None = None,
) -> Float[Tensor, "B S T-1 *space"]:
    """What a reaction-diffusion equation leaves unexplained from one frame to the next.

    r[t] = (u[t+1] - u[t]) / dt - (f[t] + f[t+1]) / 2,  f = D lap u + R(u; theta)

    ``u`` is ``[B, S, T, *space]``, ``diffusivity`` (µm²/s) and ``wall`` (value at a ``dirichlet`` wall, 0 by default)
    have a value of each species, ``parameters`` of each parameter: numbers, or one per sample ``[B]``. The residual is
    in the unit of ``u`` per second. ``order`` is that of the Laplacian. Differentiable in all tensors.

    Raises:
        InvalidArgument: fields of another rank than the grid or another number of species, one frame, a boundary
            without a Laplacian, a value that is missing, unknown or out of bounds.

    Source: Crank and Nicolson (1947), Proc. Camb. Phil. Soc. 43:50.

    >>> from physgen.equations.systems import reaction_system
    >>> heat, grid = reaction_system("diffusion"), Grid(spacing=(1.0,), dt=0.1)
    >>> u = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]).view(1, 1, 2, 3)
    >>> crank_nicolson_residual(u, heat, {"c": 2.0}, {}, grid).flatten().tolist()
    [-2.0, 4.0, -2.0]
    """
    _check(u, system, grid)
    shape = (*u.shape[:2], *[1] * (u.ndim - 2))
    d = _per_species(u, "diffusivity", system, diffusivity).to(u).view(shape)
    walls = _per_species(u, "wall", system, wall).to(u).view(shape)
    values = system.values(parameters)
    rate = d * laplacian(u - walls, grid.spacing, grid.boundary, order) + system.reaction(u, values)
    return u.diff(dim=2) / grid.dt - (rate[:, :, 1:] + rate[:, :, :-1]) / 2


def reaction_diffusion_loss(
    u: Float[Tensor, "B S T *space"],
    system: ReactionSystem,
    diffusivity: Mapping[str, Value],
    parameters: Mapping[str, Value],
    grid: Grid,
    *,
    weight: Float[Tensor, "B S"] | None = None,
    wall: Mapping[str, Value] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "B"]:
    """Half the squared residual of a reaction-diffusion equation per sample, and its gradient in the same pass.

    L[b] = 1/2 sum_{s,t,x} (weight[b, s] r[b, s, t, x])^2,  r: see `crank_nicolson_residual`, second order in space

    ``u`` is ``[B, S, T, *space]`` in float32, float64 (not on Triton) or bfloat16 (arithmetic then in float32);
    ``weight`` is 1 by default. The loss is at least float32, summed over blocks in float64 in a fixed order: the same
    bits each time. The kernels' gradient is with respect to ``u``, and first order only: a second derivative raises.
    They are generated from the equations, for lines and frames; volumes, and constants that require a gradient, take
    the reference. NaN in a sample makes its loss NaN.

    Raises:
        InvalidArgument: as `crank_nicolson_residual`, a weight of another shape, a backend that cannot run here.

    Source: adjoint of the scheme of Crank and Nicolson (1947), Proc. Camb. Phil. Soc. 43:50.

    >>> from physgen.equations.systems import reaction_system
    >>> heat, grid = reaction_system("diffusion"), Grid(spacing=(1.0,), dt=0.1)
    >>> u = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]).view(1, 1, 2, 3)
    >>> reaction_diffusion_loss(u, heat, {"c": 2.0}, {}, grid)
    tensor([12.])
    """
    _check(u, system, grid)
    if weight is not None and weight.shape != u.shape[:2]:
        raise InvalidArgument("weight", tuple(weight.shape), f"one per sample and species, {tuple(u.shape[:2])}")
    squared_weight = torch.ones(u.shape[:2], device=u.device) if weight is None else weight.square()
    columns = [
        _per_species(u, "diffusivity", system, diffusivity),
        squared_weight.to(u.device, torch.float64),
        _per_species(u, "wall", system, wall),
        *(_per_sample(u, name, value)[:, None] for name, value in system.values(parameters).items()),
    ]
    coefficients = torch.cat(columns, 1)
    fast = ("numba",) if u.dtype == torch.float64 else ("numba", "triton")
    only_reference = len(grid.spacing) == 3 or coefficients.requires_grad
    chosen = resolve_backend(backend, u.device, ("reference", *(() if only_reference else fast)))
    if chosen == "reference":
        exact = single(u)
        residual = crank_nicolson_residual(exact, system, diffusivity, parameters, grid, wall=wall)
        return (residual.square().flatten(2).sum(2) * squared_weight.to(exact)).sum(1) / 2
    flat = u if len(grid.spacing) == 2 else u.unsqueeze(-2)
    inverse_square = [h**-2 for h in (*[torch.inf] * (2 - len(grid.spacing)), *grid.spacing)]
    source = kernel_source(system, "numba" if chosen == "numba" else "triton")
    loss, _ = _fused(flat, coefficients, source, inverse_square, grid.dt, grid.boundary, chosen)
    return loss


SCHEMA = (
    "(Tensor u, Tensor coefficients, str source, float[] inverse_square, float dt, str boundary, str backend)"
    " -> (Tensor, Tensor)"
)


@torch.library.custom_op("physgen::reaction_diffusion_loss", mutates_args=(), schema=SCHEMA)
def _fused(
    u: Tensor,
    coefficients: Tensor,
    source: str,
    inverse_square: Sequence[float],
    dt: float,
    boundary: str,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Loss ``[B]`` and gradient of fields ``[B, S, T, H, W]``; coefficients are D, weight^2, wall, parameters."""
    run = _numba if backend == "numba" else _triton
    return run(u.contiguous(), coefficients, source, [*inverse_square, 1 / dt], WALLS.index(boundary))


@_fused.register_fake
def _(u: Tensor, coefficients: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    loss = u.new_empty(u.shape[0], dtype=torch.promote_types(u.dtype, torch.float32))
    return loss, torch.empty_like(u, memory_format=torch.contiguous_format)


def _save_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


@once_differentiable
def _scale_gradient(ctx: Any, factor: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    (gradient,) = ctx.saved_tensors
    return None if factor is None else scaled(gradient, factor), *[None] * 6


_fused.register_autograd(_scale_gradient, setup_context=_save_gradient)


def _numba(u: Tensor, coefficients: Tensor, source: str, scalars: list[float], boundary: int) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(u.dtype, torch.float32)
    module = kernel_module(source, "numba", str(dtype).removeprefix("torch."))
    fields = u.to(dtype)
    gradient = torch.empty_like(fields)
    rows = max(4, min(ROWS, CACHED // (u.shape[1] * u.shape[4])))
    jobs = u.shape[0] * math.ceil(u.shape[3] / rows)
    partial = np.empty(jobs)
    arrays = [
        x.detach().numpy() for x in (fields, gradient, coefficients.to(dtype), torch.tensor(scalars, dtype=dtype))
    ]
    march = bind(module.loss_and_gradient, *arrays[:3], partial, arrays[3], boundary, rows)
    in_threads(march, jobs)
    loss = torch.from_numpy(partial.reshape(u.shape[0], -1).sum(1)).to(dtype)
    return loss, gradient.to(u.dtype)


def _triton(u: Tensor, coefficients: Tensor, source: str, scalars: list[float], boundary: int) -> tuple[Tensor, Tensor]:
    batch, species, frames, height, width = u.shape
    rows, columns, warps = block_shape(height, width, 64 if torch.version.hip else 32)
    tiles = math.ceil(height / rows) * math.ceil(width / columns)
    chunks = min(math.ceil(PROGRAMS / (tiles * batch)), math.ceil(frames / 4))
    per_chunk = math.ceil(frames / chunks)
    chunks = math.ceil(frames / per_chunk)
    gradient = torch.empty_like(u)
    partial = torch.empty(batch, chunks, tiles, dtype=torch.float32, device=u.device)
    constants = [coefficients.float().contiguous(), torch.tensor(scalars, dtype=torch.float32, device=u.device)]
    strides = (species * frames * height * width, frames * height * width, height * width)
    sizes = (frames, per_chunk, height, width, *strides, boundary, rows, columns)
    kernel = kernel_module(source, "triton").loss_and_gradient
    with torch.cuda.device_of(u):
        kernel[(tiles, chunks, batch)](u, gradient, partial, *constants, *sizes, num_warps=warps)
    return partial.double().sum((1, 2)).to(torch.promote_types(u.dtype, torch.float32)), gradient


def block_shape(height: int, width: int, lanes: int = 32) -> tuple[int, int, int]:
    """Rows and columns of one program's tile, and its warps of ``lanes`` threads: one cell a thread, nothing spills."""
    rows, columns = min(8, power_of_two(height)), min(32, power_of_two(width))
    return rows, columns, max(1, rows * columns // lanes)


def ahead_of_time(
    system: ReactionSystem,
    real: str = "fp32",
    boundary: str = "no-flux",
    height: int = 256,
    width: int = 256,
    lanes: int = 32,
) -> dict[str, Any]:
    """How the operator launches its kernel on fields of type ``real``, for a compile without a GPU.

    >>> from physgen.equations.systems import reaction_system
    >>> ahead_of_time(reaction_system("gray_scott"))["constexprs"]
    {'BOUNDARY': 1, 'BLOCK_H': 8, 'BLOCK_W': 32}
    """
    rows, columns, warps = block_shape(height, width, lanes)
    pointers = {"U": f"*{real}", "G": f"*{real}", "PARTIAL": "*fp32", "COEFFICIENTS": "*fp32", "SCALARS": "*fp32"}
    sizes = {"H": height, "W": width}
    strides = ("batch_stride", "species_stride", "frame_stride")
    aligned = [*(name for name, n in sizes.items() if n % 16 == 0), *(strides if height * width % 16 == 0 else ())]
    return {
        "function": kernel_module(kernel_source(system, "triton"), "triton").loss_and_gradient,
        "signature": pointers | dict.fromkeys(("T", "FRAMES", *sizes, *strides), "i32"),
        "constexprs": {"BOUNDARY": WALLS.index(boundary), "BLOCK_H": rows, "BLOCK_W": columns},
        "aligned": (*pointers, *aligned),
        "num_warps": warps,
        "elements": len(system.species) * rows * columns,
    }


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least ``n``."""
    return 1 << (n - 1).bit_length()


def _check(u: Tensor, system: ReactionSystem, grid: Grid) -> None:
    if u.ndim != 3 + len(grid.spacing) or not u.is_floating_point() or u.shape[2] < 2 or 0 in u.shape:
        allowed = f"floating point [B, S, T, {SPACE[len(grid.spacing)]}] on this grid, at least 2 frames"
        raise InvalidArgument("u", f"{u.dtype} {tuple(u.shape)}", allowed)
    if u.shape[1] != len(system.species):
        raise InvalidArgument("u", f"{u.shape[1]} fields", f"one of each species, {', '.join(system.species)}")
    check_wall(grid.boundary)


def _per_sample(u: Tensor, name: str, value: Value) -> Tensor:
    constant = torch.as_tensor(value, dtype=torch.float64, device=u.device)
    if constant.shape not in ((), (1,), u.shape[:1]):
        raise InvalidArgument(name, f"{list(constant.shape)} values", f"a number, or one per sample, [{u.shape[0]}]")
    return constant.expand(u.shape[0])


def _per_species(u: Tensor, name: str, system: ReactionSystem, values: Mapping[str, Value] | None) -> Tensor:
    """Values ``[B, S]`` in float64."""
    values = dict.fromkeys(system.species, 0.0) if values is None else values
    if set(values) != set(system.species):
        raise InvalidArgument(name, list(values), f"a value of each species, {', '.join(system.species)}")
    columns = torch.stack([_per_sample(u, name, values[species]) for species in system.species], 1)
    lowest = 0.0 if name == "diffusivity" else -torch.inf
    if not torch.compiler.is_compiling() and not bool((columns.isfinite() & (columns >= lowest)).all()):
        raise InvalidArgument(name, dict(values), f"finite numbers{' >= 0' if name == 'diffusivity' else ''}")
    return columns
