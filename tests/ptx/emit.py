"""Writes the PTX of small instances of the kernels, where Triton compiles: ``python -m ptx.emit FOLDER GROUP``.

A process of its own, since Triton decides when it is imported whether it compiles or interprets.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One kernel to compile; ``system`` and ``boundary`` are those of reaction-diffusion."""

    kernel: str
    target: str
    dtype: str
    system: str = "-"
    boundary: str = "-"

    def __str__(self) -> str:
        return "_".join([self.kernel, self.system, self.boundary, self.dtype, self.target])


#: an odd frame, of several tiles
HEIGHT, WIDTH = 11, 70
TARGETS = ("sm_80", "sm_90", "sm_100")
DTYPES = ("fp32", "bf16")
REACTION_DIFFUSION = [
    Case("reaction_diffusion", target, dtype, system, boundary)
    for system, boundary, target, dtype in [
        ("fisher_kpp", "dirichlet", "sm_90", "fp32"),
        ("fisher_kpp", "periodic", "sm_80", "bf16"),
        ("fisher_kpp", "no-flux", "sm_100", "bf16"),
        ("gray_scott", "no-flux", "sm_80", "fp32"),
        ("gray_scott", "no-flux", "sm_90", "bf16"),
        ("gray_scott", "no-flux", "sm_100", "fp32"),
        ("hill_activation", "no-flux", "sm_90", "fp32"),
        ("hill_activation", "no-flux", "sm_100", "bf16"),
        ("diffusion", "periodic", "sm_90", "fp32"),
        ("fitzhugh_nagumo", "dirichlet", "sm_90", "fp32"),
        ("schnakenberg", "periodic", "sm_90", "fp32"),
        ("michaelis_menten", "no-flux", "sm_90", "fp32"),
        ("hill_inhibition", "dirichlet", "sm_90", "fp32"),
        ("calcium_wave", "periodic", "sm_90", "fp32"),
        ("min_oscillation", "periodic", "sm_90", "fp32"),
    ]
]
#: of one species, three targets, both types: Triton compiles these in seconds, five species in half a minute
QUICK = REACTION_DIFFUSION[:3]
PHASE_ORDER = [Case("phase_order", target, dtype) for target in TARGETS for dtype in DTYPES]
MASS = [Case("mass", target, dtype) for target in TARGETS for dtype in DTYPES]
GROUPS = {"quick": [*QUICK, *PHASE_ORDER, *MASS], "slow": REACTION_DIFFUSION[len(QUICK) :]}


def main(folder: Path, group: str) -> None:
    """Write ``CASE.ptx`` for every case of a group, and its compile-time arguments and shared memory in ``cases.json``.

    Of a case that does not compile, the latter has the error instead.
    """
    from triton.compiler.errors import CompilationError

    from physgen.experiments.compiled.aot import compile_kernel
    from physgen.experiments.compiled.registry import mass_kernel, phase_order_kernel, reaction_diffusion_kernel

    cases: dict[str, dict[str, int | float | str]] = {}
    for case in GROUPS[group]:
        if case.kernel == "reaction_diffusion":
            spec = reaction_diffusion_kernel(case.system, case.dtype, case.boundary, HEIGHT, WIDTH)
        else:
            spec = {"phase_order": phase_order_kernel, "mass": mass_kernel}[case.kernel](case.dtype)
        try:
            compiled = compile_kernel(spec, case.target)
        except CompilationError as error:
            cases[str(case)] = {"error": str(error)}
            continue
        cases[str(case)] = {**spec.constexprs, "shared": compiled.metadata.shared}
        (folder / f"{case}.ptx").write_text(compiled.asm["ptx"])
    (folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
