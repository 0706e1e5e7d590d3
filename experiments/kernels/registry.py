"""Every kernel of the library, as it is launched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from physgen.constraints.systems import SYSTEMS, reaction_system
from physgen.experiments.kernels.spec import KernelSpec
from physgen.ops import mass as mass_operator
from physgen.ops import phase_order as phase_order_operator
from physgen.ops.generated import kernel_module
from physgen.ops.reaction_diffusion import block_shape
from physgen.ops.stencil import WALLS

DTYPES = ("fp32", "bf16")
#: pixels of a frame of the reaction-diffusion kernels: large, and a multiple of 16
HEIGHT, WIDTH = 256, 256


def kernels() -> Iterator[KernelSpec]:
    """Each kernel for each system and type.

    >>> sorted({spec.name for spec in kernels()})
    ['mass', 'phase_order', 'reaction_diffusion']
    """
    for dtype in DTYPES:
        for system in SYSTEMS:
            yield from (reaction_diffusion(system, dtype, boundary) for boundary in WALLS)
        yield phase_order(dtype)
        yield mass(dtype)


def phase_order(dtype: str) -> KernelSpec:
    """Forward-backward over the seven phases."""
    return KernelSpec("phase_order", "-", "-", dtype, **phase_order_operator.ahead_of_time(dtype))


def mass(dtype: str) -> KernelSpec:
    """Signed and absolute sums."""
    return KernelSpec("mass", "-", "-", dtype, **mass_operator.ahead_of_time(dtype))


def reaction_diffusion(
    system: str, dtype: str, boundary: str, height: int = HEIGHT, width: int = WIDTH, aligned: bool = True
) -> KernelSpec:
    """The fused residual, loss and gradient of a shipped system, as launched on frames of that size."""
    known = reaction_system(system)
    species = len(known.species)
    rows, columns, warps = block_shape(species, height, width)
    pointers = {"U": f"*{dtype}", "G": f"*{dtype}", "PARTIAL": "*fp32", "COEFFICIENTS": "*fp32", "SCALARS": "*fp32"}
    sizes = ("H", "W", "batch_stride", "species_stride", "frame_stride")
    constexprs: dict[str, Any] = {"BOUNDARY": WALLS.index(boundary), "BLOCK_H": rows, "BLOCK_W": columns}
    return KernelSpec(
        name="reaction_diffusion",
        system=system,
        boundary=boundary,
        dtype=dtype,
        function=kernel_module(known.key, "triton").loss_and_gradient,
        signature=pointers | dict.fromkeys(("T", "FRAMES", *sizes), "i32"),
        constexprs=constexprs,
        aligned=(*pointers, *sizes) if aligned else (),
        num_warps=warps,
        elements=species * rows * columns,
    )
