"""The Triton kernel of the phase order on Triton's interpreter; as a script, what runs there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from physgen.ops.phase_order import left_to_right, phase_order_nll, posterior

SHAPES = [(1, 1, 2), (65, 1, 7), (2, 3, 1), (1, 2, 5), (3, 2, 9), (65, 2, 2), (3, 17, 7), (1, 17, 9), (3, 64, 7)]
DTYPES = [torch.float32, torch.bfloat16]
KINDS = ["default", "exceptions", "large", "reversed", "impossible"]

Case = tuple[tuple[int, int, int], torch.dtype, str]
CASES: list[Case] = [
    *((shape, dtype, "exceptions") for shape in SHAPES for dtype in DTYPES),
    *(((5, 17, 7), dtype, kind) for dtype in DTYPES for kind in KINDS),
]


def problem(shape: tuple[int, int, int], dtype: torch.dtype, kind: str) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(sum(shape))
    evidence = 3 * torch.randn(shape, generator=generator)
    states = shape[2]
    stay = 0.4 + 0.5 * torch.rand(states, generator=generator)
    if kind == "large":
        evidence = (evidence * 3e3).clamp(-1e4, 1e4)
    if kind == "reversed":
        evidence = -400 * (torch.arange(states) != torch.arange(shape[1]).flip(0)[:, None] // 3) + evidence
    if kind == "impossible":
        evidence[torch.rand(shape, generator=generator) < 0.3] = -torch.inf
        evidence[0] = -torch.inf
    if kind != "exceptions":
        return evidence.to(dtype), {"stay": stay}
    moves = left_to_right(stay)
    moves[0, -1] += 0.05
    moves[-1, 0] += 0.01
    return evidence.to(dtype), {"transitions": moves, "initial": torch.rand(states, generator=generator)}


def interpret() -> list[tuple[Tensor, Tensor, Tensor]]:
    results = []
    for case in CASES:
        evidence, system = problem(*case)
        evidence.requires_grad_()
        nll = phase_order_nll(evidence, **system, backend="triton")
        (gradient,) = torch.autograd.grad(nll.sum(), evidence)
        results.append((nll.detach(), gradient, posterior(evidence, **system, backend="triton")))
    return results


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, tuple[Tensor, Tensor, Tensor]]:
    """Every case, in one other process: Triton reads the variable when it is imported."""
    pytest.importorskip("triton")
    out = tmp_path_factory.mktemp("hmm") / "results.pt"
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONWARNINGS": "error::RuntimeWarning"}
    subprocess.run([sys.executable, __file__, str(out)], check=True, env=environment)
    return dict(zip(CASES, torch.load(out), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_interpreted_kernel_agrees_with_float64(
    interpreted: dict[Case, tuple[Tensor, Tensor, Tensor]], case: Case
) -> None:
    nll, gradient, share = interpreted[case]
    evidence, system = problem(*case)
    expected = phase_order_nll(evidence.double(), **system, backend="reference")
    exact_share = posterior(evidence.double(), **system, backend="reference")
    assert nll.dtype == share.dtype == torch.float32
    assert gradient.dtype == evidence.dtype
    torch.testing.assert_close(nll.double(), expected, rtol=1e-6, atol=1e-6)
    tolerance = 2e-6 + torch.finfo(torch.float32).eps * evidence[evidence.isfinite()].abs().max().item()
    torch.testing.assert_close(share.double(), exact_share, rtol=0, atol=tolerance)
    torch.testing.assert_close(gradient, -share.to(gradient.dtype), rtol=0, atol=0)
    assert (share[evidence.isneginf()] == 0).all()


if __name__ == "__main__":
    torch.save(interpret(), Path(sys.argv[1]))
