"""Every kernel of the library, as its operator launches it."""

from __future__ import annotations

from collections.abc import Iterator

from physgen.equations.systems import SYSTEMS, reaction_system
from physgen.experiments.compiled.spec import KernelSpec
from physgen.ops import frame_mass as mass
from physgen.ops import phase_order, reaction_diffusion, stream_flow
from physgen.stencil import WALLS

DTYPES = ("fp32", "bf16")


def kernels(lanes: int = 32) -> Iterator[KernelSpec]:
    """Each kernel for each type and shipped system; in float32, which takes more registers, for each boundary.

    ``lanes`` is the number of threads of a warp.

    >>> sorted({spec.name for spec in kernels()})
    ['mass', 'phase_order', 'reaction_diffusion', 'stream_product']
    """
    for dtype in DTYPES:
        for system in SYSTEMS:
            for boundary in WALLS if dtype == "fp32" else ("no-flux",):
                yield reaction_diffusion_kernel(system, dtype, boundary, lanes=lanes)
        yield phase_order_kernel(dtype)
        yield mass_kernel(dtype)
    for walls in stream_flow.RINGS:
        yield KernelSpec("stream_product", "-", walls, "fp32", **stream_flow.ahead_of_time(walls))


def reaction_diffusion_kernel(
    system: str, dtype: str, boundary: str, height: int = 256, width: int = 256, lanes: int = 32
) -> KernelSpec:
    """Residual, loss and gradient of a shipped system, for frames of ``height`` x ``width``."""
    launch = reaction_diffusion.ahead_of_time(reaction_system(system), dtype, boundary, height, width, lanes)
    return KernelSpec("reaction_diffusion", system, boundary, dtype, **launch)


def phase_order_kernel(dtype: str) -> KernelSpec:
    """Forward-backward over the seven phases."""
    return KernelSpec("phase_order", "-", "-", dtype, **phase_order.ahead_of_time(dtype))


def mass_kernel(dtype: str) -> KernelSpec:
    """Signed and absolute sums."""
    return KernelSpec("mass", "-", "-", dtype, **mass.ahead_of_time(dtype))
